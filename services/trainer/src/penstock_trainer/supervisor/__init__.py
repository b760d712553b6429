"""The supervisor: one task for each attempt that was claimed and has not ended."""

from penstock_trainer.supervisor.staging import Staging
from penstock_trainer.supervisor.supervisor import Supervisor

__all__ = ["Staging", "Supervisor"]
