"""What the log says about accounts, folded: pure.

A token permits what its account may, and no more than its own role, where it was issued for; so
removing a member ends all its tokens there. Platform administrators are the admins of `system`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock_chassis.accounts.principal import Principal, greatest, least
from penstock_chassis.message import Recorded
from penstock_schemas import (
    SYSTEM_NAMESPACE,
    CredentialIssued,
    CredentialRevoked,
    MemberAdded,
    MemberRemoved,
    TokenIssued,
    TokenRevoked,
)

NOUNS = frozenset({"member", "token", "credential"})


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was issued and, unless `revoked`, is good until it expires."""

    issued: TokenIssued
    namespace: str
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair that opens the bus or the object store in a namespace."""

    issued: CredentialIssued
    namespace: str


@dataclass
class AccountBook:
    """All members, tokens and credentials that are."""

    members: dict[str, dict[str, str]] = field(default_factory=dict)
    """Roles by account and namespace."""
    tokens: dict[str, Token] = field(default_factory=dict)
    """By hash."""
    hashes: dict[tuple[str, str], str] = field(default_factory=dict)
    """Hashes of tokens by namespace and id."""
    credentials: dict[tuple[str, str], Credential] = field(default_factory=dict)
    """By namespace and id, without those that were revoked."""
    version: int = 0
    """Grows with every change: what was concluded from another version may not hold."""

    def roles_of(self, account: str) -> Mapping[str, str]:
        """Its roles by namespace."""
        return self.members.get(account, {})

    def token_of(self, hash: str, now: datetime) -> Principal | None:
        """Who the holder of a token is; None where it is not known, revoked or over."""
        token = self.tokens.get(hash)
        if token is None or token.revoked or token.issued.expires_at <= now:
            return None
        return principal_of(
            token.issued.account,
            self.roles_of(token.issued.account),
            via=f"token {token.issued.token}",
            role=token.issued.role,
            only=_good_in(token),
        )


def principal_of(
    account: str,
    roles: Mapping[str, str],
    *,
    via: str,
    role: str = "admin",
    only: frozenset[str] | None = None,
) -> Principal:
    """An account with these roles, held to one role and, where given, to some namespaces."""
    everywhere = "admin" if roles.get(SYSTEM_NAMESPACE) == "admin" else None
    if only is None:
        held = {namespace: least(own, role) or "" for namespace, own in roles.items()}
        return Principal(account, held, least(everywhere, role), via)
    found = {
        namespace: least(greatest(roles.get(namespace), everywhere), role) for namespace in only
    }
    return Principal(account, {name: own for name, own in found.items() if own}, None, via)


def _good_in(token: Token) -> frozenset[str] | None:
    if token.namespace != SYSTEM_NAMESPACE:
        return frozenset({token.namespace})
    return frozenset(token.issued.namespaces) or None


def evolve(book: AccountBook, recorded: Recorded) -> AccountBook:
    """The book after an event; changes it in place."""
    event, namespace = recorded.event, recorded.namespace
    match event:
        case MemberAdded():
            book.members.setdefault(event.member, {})[namespace] = event.role
        case MemberRemoved():
            book.members.get(event.member, {}).pop(namespace, None)
        case TokenIssued():
            # The first of an id, and of a hash, stands: a later one cannot take a token over.
            if (namespace, event.token) not in book.hashes and event.hash not in book.tokens:
                book.hashes[namespace, event.token] = event.hash
                book.tokens[event.hash] = Token(event, namespace)
        case TokenRevoked():
            hash = book.hashes.get((namespace, event.token))
            if hash is not None:
                book.tokens[hash] = Token(book.tokens[hash].issued, namespace, revoked=True)
        case CredentialIssued():
            book.credentials.setdefault((namespace, event.credential), Credential(event, namespace))
        case CredentialRevoked():
            book.credentials.pop((namespace, event.credential), None)
        case _:
            return book
    book.version += 1
    return book
