"""Bearer tokens of another issuer: a real one, over HTTP, whose keys rotate."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from penstock_chassis.accounts import Bearers, Unauthenticated
from penstock_chassis.adapters import oidc
from penstock_chassis.adapters.access import account_fold
from penstock_chassis.adapters.oidc import OidcTokens, account_name
from penstock_chassis.clock import SystemClock
from penstock_chassis.errors import Unavailable

AUDIENCE = "penstock"
ALGORITHMS = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
PUBLISHED: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


class Issuer:
    """Publishes its keys, and counts how often it is asked for them."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked = 0
        self.down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found: dict[str, Any] = {"keys": issuer.published()}
                if self.path.endswith("openid-configuration"):
                    found = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                else:
                    issuer.asked += 1
                body = json.dumps(found).encode()
                self.send_response(503 if issuer.down else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def rotate(self, kid: str, algorithm: str = "ES256") -> None:
        """Sign with a new key alone."""
        self.keys = {kid: (algorithm, ALGORITHMS[algorithm]())}

    def published(self) -> list[dict[str, Any]]:
        return [
            {
                **json.loads(PUBLISHED[algorithm].to_jwk(key.public_key())),
                "kid": kid,
                "alg": algorithm,
                "use": "sig",
            }
            for kid, (algorithm, key) in self.keys.items()
        ]

    def token(self, kid: str | None = None, **changed: Any) -> str:
        kid = kid or next(iter(self.keys))
        algorithm, key = self.keys[kid]
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "exp": now + 600, "nbf": now}
        claims |= {"groups": ["ml-vision"], **changed}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    made.rotate("first")
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def tokens(issuer: Issuer) -> Iterator[OidcTokens]:
    made = OidcTokens(issuer.url, AUDIENCE, "sub", "groups")
    yield made
    made._http.clear()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_the_issuer_says_who_its_bearer_is(
    issuer: Issuer, tokens: OidcTokens, algorithm: str
) -> None:
    issuer.rotate("one", algorithm)
    claims = await tokens.verify(issuer.token())
    assert (claims.account, claims.values) == ("user-ada", frozenset({"ml-vision"}))
    await tokens.verify(issuer.token(sub="bob"))
    assert issuer.asked == 1


async def test_keys_that_rotate_are_fetched_again_but_not_by_every_token(
    issuer: Issuer, tokens: OidcTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issuer.token()
    await tokens.verify(old)
    issuer.rotate("second")
    with pytest.raises(Unauthenticated, match="no key"):
        await tokens.verify(issuer.token())  # asked a moment ago
    assert issuer.asked == 1
    monkeypatch.setattr(oidc, "REFETCH_SECONDS_MIN", 0.0)
    assert (await tokens.verify(issuer.token())).account == "user-ada"
    assert issuer.asked == 2
    with pytest.raises(Unauthenticated, match="no key"):
        await tokens.verify(old)


async def test_made_up_keys_do_not_flood_the_issuer(issuer: Issuer, tokens: OidcTokens) -> None:
    await tokens.verify(issuer.token())
    stranger = Issuer()
    stranger.url = issuer.url
    stranger.server.server_close()
    for number in range(50):
        stranger.rotate(f"made-up-{number}")
        with pytest.raises(Unauthenticated):
            await tokens.verify(stranger.token())
    stranger.rotate("first")  # the right name, another key
    with pytest.raises(Unauthenticated, match="Signature"):
        await tokens.verify(stranger.token())
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"nbf": 2**33}, "not yet valid"),
        ({"iss": "https://evil.example"}, "(?i)issuer"),
        ({"aud": "another"}, "(?i)audience"),
        ({"aud": None}, "aud"),
        ({"sub": ""}, "no claim sub"),
    ],
)
async def test_what_a_token_must_say_is_checked(
    issuer: Issuer, tokens: OidcTokens, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unauthenticated, match=said):
        await tokens.verify(issuer.token(**changed))


async def test_clocks_may_differ_a_little(issuer: Issuer, tokens: OidcTokens) -> None:
    now = int(time.time())
    await tokens.verify(issuer.token(exp=now - 30))
    await tokens.verify(issuer.token(nbf=now + 30))


async def test_neither_unsigned_nor_shared_secrets_are_accepted(
    issuer: Issuer, tokens: OidcTokens
) -> None:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    headers = {"kid": "first"}
    public = issuer.published()[0]["x"] * 2
    for forged in (
        jwt.encode(claims, "", algorithm="none", headers=headers),
        jwt.encode(claims, public, algorithm="HS256", headers=headers),
        "a.b.c",
        "",
    ):
        with pytest.raises(Unauthenticated):
            await tokens.verify(forged)


async def test_an_issuer_that_is_away_is_no_refusal(issuer: Issuer, tokens: OidcTokens) -> None:
    issuer.down = True
    with pytest.raises(Unavailable):
        await tokens.verify(issuer.token())
    issuer.down = False
    await tokens.verify(issuer.token())


def test_keys_come_by_https_alone() -> None:
    with pytest.raises(ValueError, match="https"):
        OidcTokens("http://accounts.example.org", AUDIENCE, "sub", "groups")


def test_an_account_of_an_issuer_is_never_taken_for_another() -> None:
    assert account_name("i", "ada") == "user-ada"
    mail = account_name("i", "Ada@example.org")
    assert mail.startswith("sub-")
    assert mail != account_name("other", "Ada@example.org")
    assert account_name("i", mail.removeprefix("sub-")) != mail


async def test_claims_are_roles_where_the_settings_say(issuer: Issuer, tokens: OidcTokens) -> None:
    bearers = Bearers(
        account_fold(),
        SystemClock(),
        open=False,
        external=tokens,
        claim_roles={"ml-vision": {"vision": "editor"}, "*": {"public": "viewer"}},
    )
    header = f"Bearer {issuer.token()}"
    assert bearers.principal_now(header) is None, "not known yet"
    ada = await bearers.principal(header)
    assert dict(ada.roles) == {"vision": "editor", "public": "viewer"}
    assert ada.everywhere is None
    assert bearers.principal_now(header) == ada
    bob = await bearers.principal(f"Bearer {issuer.token(sub='bob', groups=[])}")
    assert dict(bob.roles) == {"public": "viewer"}
