"""Attempts as processes of this machine."""

from penstock_trainer.adapters.local.launcher import LocalLauncher

__all__ = ["LocalLauncher"]
