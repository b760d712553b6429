"""The rules of the gateway. Nothing here does I/O."""
