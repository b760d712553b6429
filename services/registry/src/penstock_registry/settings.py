"""The settings of the registry."""

from pydantic_settings import SettingsConfigDict

from penstock_chassis.settings import ServiceSettings


class RegistrySettings(ServiceSettings):
    """Variables `PENSTOCK_REGISTRY_*`; the registry has none of its own."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_REGISTRY_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )
