"""`ExternalTokens` of an OpenID Connect issuer: signed JWTs, its keys fetched and kept.

Accepted are RS256, ES256 and EdDSA, never `none` and never a shared secret; `iss`, `aud`, `exp` and
`nbf` are checked, with some leeway for clocks. The keys come from the issuer's own discovery
document; a token that names an unknown key has them fetched again (the issuer rotated them), but
not more often than `REFETCH_SECONDS_MIN`, so that made-up tokens cannot flood the issuer.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import jwt
import structlog
import urllib3

from penstock_chassis.accounts.bearer import Claims, Unauthenticated
from penstock_chassis.accounts.settings import LOOPBACK_HOSTS
from penstock_chassis.errors import Unavailable
from penstock_schemas import is_name

ALGORITHMS = ("RS256", "ES256", "EdDSA")
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
LEEWAY_SECONDS = 60.0
REFETCH_SECONDS_MIN = 10.0
KEYS_SECONDS_MAX = 3600.0
"""So old the keys may get before they are fetched again: a key that was withdrawn leaves."""
FETCH_SECONDS_MAX = 5.0
DOCUMENT_BYTES_MAX = 1024 * 1024
KEYS_MAX = 100
DISCOVERY = "/.well-known/openid-configuration"
NAMED, HASHED = "user-", "sub-"
HASH_LENGTH = 40

log = structlog.get_logger("penstock.oidc")


class OidcTokens:
    """Verifies the bearer tokens of one issuer."""

    def __init__(self, issuer: str, audience: str, account_claim: str, roles_claim: str) -> None:
        """Raises `ValueError` for an issuer that would be asked without TLS over a network."""
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError(f"oidc_issuer {issuer}: its keys must come by https")
        self._issuer = issuer
        self._audience = audience
        self._account_claim = account_claim
        self._roles_claim = roles_claim
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._turn = asyncio.Lock()
        self._http = urllib3.PoolManager(
            timeout=FETCH_SECONDS_MAX, retries=urllib3.Retry(total=1, redirect=0)
        )

    async def verify(self, token: str) -> Claims:
        """See `ExternalTokens.verify`."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise Unauthenticated(f"the token must be signed by {', '.join(ALGORITHMS)}")
            key = await self._key(str(header.get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not good: {error}") from None
        return Claims(
            account=self._account(claims),
            values=_values(claims.get(self._roles_claim)),
            expires_at=datetime.fromtimestamp(claims["exp"] + LEEWAY_SECONDS, UTC),
        )

    def _account(self, claims: Mapping[str, Any]) -> str:
        value = claims.get(self._account_claim)
        if not isinstance(value, str) or not value:
            raise Unauthenticated(f"the token has no claim {self._account_claim}")
        return account_name(self._issuer, value)

    async def _key(self, kid: str) -> jwt.PyJWK:
        now = time.monotonic()
        known = self._keys.get(kid)
        if known is None or now - self._fetched > KEYS_SECONDS_MAX:
            await self._refresh(kid, now)
            known = self._keys.get(kid)
        if known is None:
            raise Unauthenticated("the token names no key of its issuer")
        return known

    async def _refresh(self, kid: str, asked: float) -> None:
        """Fetch the keys, unless that was tried a moment ago or somebody did it meanwhile."""
        async with self._turn:
            if self._tried >= asked or time.monotonic() - self._tried < REFETCH_SECONDS_MIN:
                return
            self._tried = time.monotonic()
            try:
                self._keys = await asyncio.to_thread(self._fetch)
                self._fetched = self._tried
            except (urllib3.exceptions.HTTPError, ValueError, LookupError, TypeError) as error:
                log.warning("keys not fetched", issuer=self._issuer, error=repr(error))
                if kid not in self._keys:
                    self._tried = float("-inf")  # nothing was learned: the next may try
                    raise Unavailable("the issuer of the token does not answer") from error

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        about = self._get(self._issuer.rstrip("/") + DISCOVERY)
        if about["issuer"] != self._issuer:
            raise ValueError(f"the discovery document is of {about['issuer']!r}")
        url = str(about["jwks_uri"])
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in LOOPBACK_HOSTS:
            raise ValueError("jwks_uri is not https")
        keys = {}
        for one in self._get(url)["keys"][:KEYS_MAX]:
            if one.get("kty") in KEY_TYPES and one.get("use", "sig") == "sig":
                try:
                    keys[str(one.get("kid", ""))] = jwt.PyJWK(one)
                except jwt.PyJWTError as error:  # a kind that we do not know: others may do
                    log.info("key not usable", issuer=self._issuer, error=str(error))
        return keys

    def _get(self, url: str) -> Any:
        answer = self._http.request("GET", url, preload_content=False)
        try:
            body = answer.read(DOCUMENT_BYTES_MAX + 1)
        finally:
            answer.release_conn()
        if answer.status != 200 or len(body) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"{url} answered {answer.status} with {len(body)} bytes")
        found = json.loads(body)
        if not found or not isinstance(found, dict):
            raise ValueError(f"{url} answered something else than a JSON object")
        return found


def account_name(issuer: str, value: str) -> str:
    """The account that a claim names: `user-<value>` where that is a name, else `sub-<hash>`.

    The two beginnings keep each apart from the other: nobody can choose a name that is the hash of
    somebody else's.
    """
    plain = f"{NAMED}{value}"
    if is_name(plain):
        return plain
    digest = hashlib.sha256(f"{issuer}\n{value}".encode()).hexdigest()
    return f"{HASHED}{digest[:HASH_LENGTH]}"


def _values(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(one for one in claim if isinstance(one, str))
    return frozenset()
