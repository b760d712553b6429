"""The settings of the trainer."""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class TrainerSettings(ServiceSettings):
    """Variables `PENSTOCK_TRAINER_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_TRAINER_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    nodes: str = ""
    """The nodes whose jobs this trainer runs, separated by commas; empty: all."""
    python: Path = Path(sys.executable)
    """The interpreter of jobs: what the command word `{python}` stands for."""
    ephemeral: bool = False
    """Whether running jobs end with the trainer; else they outlive it and are adopted again."""
    cache_bytes_max: int = Field(default=20 * 2**30, gt=0)
    """Inputs and sources kept on disk, in bytes; what running jobs use is kept beyond it."""

    def runs(self, node: str) -> bool:
        """Whether jobs of this node are run here."""
        names = {name.strip() for name in self.nodes.split(",") if name.strip()}
        return not names or node in names
