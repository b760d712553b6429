"""The settings of the tuner."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class TunerSettings(ServiceSettings):
    """Variables `PENSTOCK_TUNER_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_TUNER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    trials_per_append: int = Field(default=8, ge=1, le=100)
    """The most trials that are drawn and then started by one append; more wait for the next."""
