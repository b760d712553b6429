"""Sampling libraries behind the port `Suggester`."""
