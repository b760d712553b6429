"""The settings of the tuner."""

from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class TunerSettings(ServiceSettings):
    """The tuner has nothing of its own to set yet."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_TUNER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )
