"""`Principal`: who asks, as far as it matters to what they may. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = ("viewer", "editor", "admin")
"""Each permits what those before it permit."""
_RANKS = {role: rank for rank, role in enumerate(ROLES, 1)}


def ranked(role: str | None) -> int:
    """A role as a number to compare; 0 for none."""
    return _RANKS[role] if role else 0


def least(one: str | None, other: str | None) -> str | None:
    """The lesser of two roles."""
    return one if ranked(one) <= ranked(other) else other


def greatest(one: str | None, other: str | None) -> str | None:
    """The greater of two roles."""
    return one if ranked(one) >= ranked(other) else other


@dataclass(frozen=True, slots=True)
class Principal:
    """An account in one request: its roles by namespace, and the one that it has everywhere."""

    account: str
    roles: Mapping[str, str] = field(default_factory=dict)
    everywhere: str | None = None
    via: str = ""
    """How it was recognised: `loopback`, `bootstrap`, `token <id>`, `oidc`."""

    def role_in(self, namespace: str) -> str | None:
        """Its role in a namespace, None where it has none."""
        return greatest(self.roles.get(namespace), self.everywhere)

    def may(self, role: str, namespace: str) -> bool:
        """Whether it has at least this role there."""
        return ranked(self.role_in(namespace)) >= _RANKS[role]

    @property
    def visible(self) -> frozenset[str] | None:
        """The namespaces that it may see; None for all."""
        return None if self.everywhere else frozenset(self.roles)


LOCAL = Principal("local", everywhere="admin", via="loopback")
"""Whoever asks a platform that listens on this machine alone and authenticates nobody."""
