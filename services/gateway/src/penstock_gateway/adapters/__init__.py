"""The concrete things behind the ports of the gateway."""
