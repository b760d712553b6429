"""NATS JetStream: the ports of the chassis on a real server."""
