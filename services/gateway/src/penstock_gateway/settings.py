"""Settings of the gateway."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from penstock_chassis.accounts import LOOPBACK_HOSTS, AccessSettings
from penstock_chassis.settings import ServiceSettings
from penstock_gateway.domain.outbox import GIVE_UP_SECONDS
from penstock_gateway.domain.reach import reach_of

READ_MODEL_FILE = "read-model.sqlite"
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
ANY_HOST = "*"


class GatewaySettings(AccessSettings, ServiceSettings):
    """Where the gateway listens, whom it believes, and what it tells of the platform."""

    model_config = SettingsConfigDict(
        env_prefix="PENSTOCK_GATEWAY_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an address may hold a password
    )

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = Field(default=7360, ge=0, le=65535)
    """The port of it; 0 chooses a free one."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, beside the loopback ones, under which browsers and programs may reach the API
    (JSON list); `*` allows any. Needed where `host` is not a loopback address."""
    object_size_bytes_max: int = Field(default=5 * 2**30, ge=1)
    """The largest object that may be uploaded, in bytes."""
    secrets_key_file: Path | None = None
    """The file of the keys that seal secrets; see the platform's setting of this name."""
    secrets_key: SecretStr = SecretStr("")
    """Those keys themselves; see the platform's setting of this name."""
    database_url: SecretStr = SecretStr("")
    """The PostgreSQL database of the read model, postgresql://user:password@host/name; empty: a
    SQLite file in the working folder."""
    gateway_url: str = ""
    """Where people reach this API; empty: as it listens."""
    serving_url: str = "http://127.0.0.1:7361"
    """Where they reach the endpoints."""
    subscription_networks: tuple[str, ...] = ()
    """Networks that subscriptions may reach beside the public internet (JSON list, e.g.
    ["10.1.0.0/16", "127.0.0.0/8"]); they alone are reached without TLS."""
    subscription_give_up_seconds: float = Field(default=GIVE_UP_SECONDS, ge=60)
    """How long deliveries that fail are tried again before an event is given up, or a subscription
    of which nothing gets through is disabled, in seconds."""
    objects_endpoint: str = "127.0.0.1:8333"
    """The S3 server, as it is told to those who get credentials for it."""
    objects_bucket: str = "penstock"
    """The bucket, likewise."""
    objects_access_key: str = ""
    """The administrator's access key, for exported identities."""
    objects_secret_key: SecretStr = SecretStr("")
    """The administrator's key, from which those of namespaces are derived."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The bus, as it is told to those who ask for it."""

    @field_validator("subscription_networks")
    @classmethod
    def _readable_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        reach_of(value)  # its ValueError says which one is none
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not url.startswith(POSTGRES_SCHEMES):
            raise ValueError(
                "write postgresql://user:password@host/name, or nothing for a SQLite file"
            )
        return value

    @model_validator(mode="after")
    def _reachable_only_on_purpose(self) -> "GatewaySettings":
        self.check_access(self.host)
        if self.host not in LOOPBACK_HOSTS and not self.allowed_hosts:
            raise ValueError(
                f"host {self.host} is not a loopback address: name the hosts under which the API "
                "is reached, e.g. PENSTOCK_GATEWAY_ALLOWED_HOSTS='[\"penstock.example.org\"]'"
            )
        return self

    @property
    def read_model_path(self) -> Path:
        """The SQLite file of the read model."""
        return self.work_dir.expanduser() / READ_MODEL_FILE

    @property
    def hosts(self) -> frozenset[str]:
        """Every name under which requests may come."""
        return LOOPBACK_HOSTS | {host.lower() for host in self.allowed_hosts}
