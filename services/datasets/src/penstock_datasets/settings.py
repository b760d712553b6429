"""The settings of the datasets service."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class DatasetsSettings(ServiceSettings):
    """Variables `PENSTOCK_DATASETS_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_DATASETS_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    allowed_folders: tuple[Path, ...] = ()
    """Folders of this machine, a JSON list, from which `file://` URIs may be read; by default
    none, because whoever may ask for a dataset could then read them."""
    concurrency: int = Field(default=2, ge=1, le=64)
    """How many requests and versions are worked on side by side."""
    folders_kept: int = Field(default=4, ge=1)
    """How many fetched versions stay on this machine's disk."""
    profile_seconds_max: float = Field(default=300.0, gt=0)
    """How long one version may take to profile, in seconds."""
    profile_memory_bytes: int = Field(default=2**30, ge=2**26)
    """Memory of the profiler's buffers for one version, in bytes."""
