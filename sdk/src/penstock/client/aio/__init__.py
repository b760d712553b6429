"""The asynchronous client. The synchronous one is made from it: `python generate_sync.py`."""

from penstock.client.aio.client import AsyncClient

__all__ = ["AsyncClient"]
