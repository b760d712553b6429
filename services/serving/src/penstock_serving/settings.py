"""The settings of serving."""

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from penstock_chassis.accounts import AccessSettings
from penstock_chassis.settings import ServiceSettings


class ServingSettings(AccessSettings, ServiceSettings):
    """Variables `PENSTOCK_SERVING_*`."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_SERVING_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    host: str = "127.0.0.1"
    """The address on which endpoints answer."""
    port: int = Field(default=7361, ge=0, le=65535)
    """The port of it; 0 chooses a free one."""

    @model_validator(mode="after")
    def _reachable_only_on_purpose(self) -> "ServingSettings":
        self.check_access(self.host)
        return self
