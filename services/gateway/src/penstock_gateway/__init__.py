"""Penstock gateway: HTTP API, webhooks, triggers and the read model."""
