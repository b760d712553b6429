"""From an `Authorization` header to a `Principal`.

What was concluded about a token is kept by its hash, so that a request pays one SHA-256 and one
look-up; it is concluded anew when the book changes (a token revoked, a member removed) and when
the token expires. The cache is bounded and holds hashes, never tokens.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from penstock_chassis.accounts.book import AccountBook, principal_of
from penstock_chassis.accounts.principal import LOCAL, Principal, greatest
from penstock_chassis.accounts.settings import ClaimRoles
from penstock_chassis.fold import Fold
from penstock_chassis.ports import Clock
from penstock_schemas.tokens import PREFIX, hash_of, well_formed

SCHEME = "bearer"
HEADER_LENGTH_MAX = 16_384
CACHE_ENTRIES_MAX = 10_000
EVERY_VALUE = "*"
BOOTSTRAP = "bootstrap"


class Unauthenticated(Exception):
    """The request does not say, or not truly, who asks."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token of another issuer says."""

    account: str
    values: frozenset[str]
    """Of the claim that is mapped to roles."""
    expires_at: datetime


class ExternalTokens(Protocol):
    """Verifies tokens of another issuer."""

    async def verify(self, token: str) -> Claims:
        """What a token says; raises `Unauthenticated` where it is not good, and `Unavailable`
        where the issuer's keys cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal | None
    version: int
    """Of the book that it was concluded from."""
    until: datetime | None
    claims: Claims | None = None


class Bearers:
    """Recognises who sends a request: everybody where it is `open`, else the bearers of tokens."""

    def __init__(
        self,
        fold: Fold[AccountBook],
        clock: Clock,
        *,
        open: bool,
        admin_hash: str = "",
        external: ExternalTokens | None = None,
        claim_roles: ClaimRoles | None = None,
    ) -> None:
        self._fold = fold
        self._clock = clock
        self.open = open
        """Whether everybody may do everything."""
        self._admin_hash = admin_hash
        self._external = external
        self._claim_roles = claim_roles or {}
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def principal(self, authorization: str) -> Principal:
        """Who sends this header; raises `Unauthenticated`, saying what is wrong."""
        if self.open:
            return LOCAL
        token = _token_in(authorization)
        hash = hash_of(token)
        found = self._recall(hash)
        if found is None:
            found = await self._conclude(token, hash)
            self._keep(hash, found)
        if found.principal is None:
            raise Unauthenticated("the token is not known here, was revoked, or has expired")
        return found.principal

    def principal_now(self, authorization: str) -> Principal | None:
        """The same without waiting; None where a token of another issuer is not known yet."""
        if self.open:
            return LOCAL
        token = _token_in(authorization)
        hash = hash_of(token)
        found = self._recall(hash)
        if found is None:
            if not token.startswith(PREFIX):
                return None
            found = self._own(token, hash)
            self._keep(hash, found)
        if found.principal is None:
            raise Unauthenticated("the token is not known here, was revoked, or has expired")
        return found.principal

    def _recall(self, hash: str) -> _Known | None:
        found = self._known.get(hash)
        if found is None:
            return None
        if found.until is not None and found.until <= self._clock.now():
            del self._known[hash]
            return None
        if found.version != self._fold.state.version:
            del self._known[hash]
            if found.claims is None:
                return None
            # The signature still holds; what the account may is concluded anew.
            found = self._of_claims(found.claims)
            self._keep(hash, found)
        return found

    async def _conclude(self, token: str, hash: str) -> _Known:
        if token.startswith(PREFIX):
            return self._own(token, hash)
        if self._external is None:
            raise Unauthenticated("the bearer token is none of this platform's")
        return self._of_claims(await self._external.verify(token))

    def _own(self, token: str, hash: str) -> _Known:
        book = self._fold.state
        if not well_formed(token):
            raise Unauthenticated("the token is cut off or mistyped")
        if hash == self._admin_hash:
            return _Known(Principal(BOOTSTRAP, {}, "admin", BOOTSTRAP), book.version, None)
        principal = book.token_of(hash, self._clock.now())
        until = book.tokens[hash].issued.expires_at if principal is not None else None
        return _Known(principal, book.version, until)

    def _of_claims(self, claims: Claims) -> _Known:
        book = self._fold.state
        roles = dict(book.roles_of(claims.account))
        for value in (EVERY_VALUE, *claims.values):
            for namespace, role in self._claim_roles.get(value, {}).items():
                roles[namespace] = greatest(roles.get(namespace), role) or role
        principal = principal_of(claims.account, roles, via="oidc")
        return _Known(principal, book.version, claims.expires_at, claims)

    def _keep(self, hash: str, found: _Known) -> None:
        if found.principal is None:
            return  # else tokens that somebody makes up would drive out the good ones
        self._known[hash] = found
        while len(self._known) > CACHE_ENTRIES_MAX:
            self._known.popitem(last=False)


def _token_in(authorization: str) -> str:
    if not authorization:
        raise Unauthenticated("the request brings no token")
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != SCHEME or not token or len(token) > HEADER_LENGTH_MAX:
        raise Unauthenticated("the header Authorization is not of the form: Bearer <token>")
    return token
