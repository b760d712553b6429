"""Penstock: publish and follow events, train, and look around, from Python."""

from penstock.run import Run, RunError, run

__all__ = ["Run", "RunError", "run"]
