# Generated from client/aio by generate_sync.py; edit that, and run it again.
"""The synchronous client."""

from penstock.client.sync.client import Client

__all__ = ["Client"]
