"""The settings of access, the same for every service that answers people."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from penstock_chassis.accounts.principal import ROLES
from penstock_schemas import is_name
from penstock_schemas.tokens import PREFIX, hash_of, well_formed

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
HEXADECIMAL_LENGTH = 64
ClaimRoles = Mapping[str, Mapping[str, str]]
"""By value of the claim: roles by namespace."""


class AccessSettings(BaseSettings):
    """Who is let in, and how they are recognised."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    auth: Literal["none", "tokens"] = "none"
    """`none`: whoever reaches a loopback address may do everything; `tokens`: each request brings
    a bearer token. Any other address needs `tokens`."""
    admin_token_hash: SecretStr = SecretStr("")
    """The SHA-256 of a token that may do everything, in hexadecimal, to make the first members
    with: `penstock token bootstrap` prints both."""
    admin_token_file: Path | None = None
    """A file with that hash, or with the token itself."""
    oidc_issuer: str = ""
    """The issuer whose bearer tokens are accepted, e.g. https://accounts.example.org; empty: none.
    Its keys are found by OpenID Connect Discovery."""
    oidc_audience: str = ""
    """What their claim `aud` must name."""
    oidc_account_claim: str = "sub"
    """The claim that names the account."""
    oidc_roles_claim: str = "groups"
    """The claim whose values `oidc_roles` maps to roles."""
    oidc_roles: str = "{}"
    """Roles by value of that claim and namespace, JSON: {"ml-vision": {"vision": "editor"}}; `*`
    is every value. Roles in `system` are those of the platform."""

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _roles_as_text(cls, value: Any) -> Any:
        """Take a mapping as well as its JSON."""
        return json.dumps(value) if isinstance(value, dict) else value

    @field_validator("oidc_roles")
    @classmethod
    def _roles_readable(cls, value: str) -> str:
        _claim_roles(value)
        return value

    def check_access(self, host: str) -> None:
        """Raise `ValueError` where these settings would let in anybody from elsewhere, or nobody
        at all. For services that answer people on `host`."""
        refuse_open_host(host, self.auth)
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError(
                "oidc_issuer needs oidc_audience: else tokens that were made for others would do"
            )
        if self.oidc_issuer and self.auth == "none":
            raise ValueError("oidc_issuer is used with auth=tokens alone: set PENSTOCK_AUTH=tokens")
        known = self.admin_token_hash.get_secret_value() or self.admin_token_file
        if self.auth == "tokens" and not known and not self.oidc_issuer:
            raise ValueError(
                "auth=tokens lets nobody in yet: set PENSTOCK_ADMIN_TOKEN_HASH (or _FILE) to what "
                "`penstock token bootstrap` prints, or PENSTOCK_OIDC_ISSUER"
            )

    def read_admin_hash(self) -> str:
        """The hash of the administrator's token, `sha256:<hex>`, or nothing; raises `ValueError`
        saying what is wrong."""
        given = self.admin_token_hash.get_secret_value().strip()
        where = "admin_token_hash"
        if self.admin_token_file is not None:
            path = self.admin_token_file.expanduser()
            where = path.name
            try:
                given = path.read_text().strip()
            except OSError as error:
                raise ValueError(f"admin_token_file {path}: {error.strerror}") from None
        if given.startswith(PREFIX):
            if not well_formed(given):
                raise ValueError(f"{where}: the token is cut off or mistyped")
            return hash_of(given)
        return _hash(given, where) if given or self.admin_token_file else ""

    @property
    def claim_roles(self) -> ClaimRoles:
        """`oidc_roles`, read."""
        return _claim_roles(self.oidc_roles)


def refuse_open_host(host: str, auth: str) -> None:
    """Raise `ValueError` where an address that others can reach would let in anybody."""
    if host not in LOOPBACK_HOSTS and auth == "none":
        raise ValueError(
            f"host {host} is not a loopback address, and nobody is asked who they are: set "
            "PENSTOCK_AUTH=tokens and PENSTOCK_ADMIN_TOKEN_HASH (`penstock token bootstrap`), or "
            "listen on 127.0.0.1"
        )


def _hash(text: str, where: str) -> str:
    hexadecimal = text.removeprefix("sha256:").lower()
    if len(hexadecimal) != HEXADECIMAL_LENGTH or set(hexadecimal) - set("0123456789abcdef"):
        raise ValueError(f"{where} is no SHA-256 in hexadecimal: take it from the command's output")
    return f"sha256:{hexadecimal}"


def _claim_roles(text: str) -> ClaimRoles:
    wrong = 'oidc_roles is not JSON of the form {"<claim value>": {"<namespace>": "viewer"}}'
    try:
        found = json.loads(text or "{}")
    except ValueError:
        raise ValueError(wrong) from None
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ValueError(wrong)
    for value, roles in found.items():
        for namespace, role in roles.items():
            if not is_name(namespace) or role not in ROLES:
                known = ", ".join(ROLES)
                raise ValueError(f"oidc_roles, {value}: {namespace}: {role}: roles are {known}")
    return found
