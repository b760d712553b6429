"""The settings of the features service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class FeaturesSettings(ServiceSettings):
    """Variables `PENSTOCK_FEATURES_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_FEATURES_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    concurrency: int = Field(default=1, ge=1, le=64)
    """How many feature sets or datasets are worked on side by side."""
    run_seconds_max: float = Field(default=600.0, gt=0)
    """How long one materialisation may take, in seconds."""
    run_memory_bytes: int = Field(default=4 * 2**30, ge=2**28)
    """Resident memory of one materialisation, in bytes."""
