"""The token of a client: where it comes from, where it goes, and who may read it."""

import io
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from penstock.client import Client, PenstockError
from penstock.client.credentials import find_token, store_token, token_file, write_private
from penstock.testing import FakeGateway

URL = "http://127.0.0.1:7360"


def test_a_token_is_given_or_in_the_environment_or_stored(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert find_token(URL, environ=environ) is None
    path = store_token(URL, "stored", environ)
    assert path == token_file(environ) == tmp_path / "penstock" / "tokens.json"
    assert find_token(URL, environ=environ) == "stored"
    assert find_token("http://127.0.0.1:9999", environ=environ) is None, "of another platform"
    assert find_token(URL, environ=environ | {"PENSTOCK_TOKEN": "variable"}) == "variable"
    assert find_token(URL, "given", environ | {"PENSTOCK_TOKEN": "variable"}) == "given"


def test_the_file_of_tokens_is_private_and_refused_where_it_is_not(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    path = store_token(URL, "one", environ)
    store_token("http://other", "two", environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert json.loads(path.read_text()) == {URL: "one", "http://other": "two"}
    path.chmod(0o640)
    with pytest.raises(PenstockError, match="read by others") as refused:
        find_token(URL, environ=environ)
    assert "chmod 600" in refused.value.hint


def test_a_client_sends_its_token_with_every_request() -> None:
    with FakeGateway() as fake, Client(fake.url, token="mine") as client:
        client.platform()
        assert client.job.list().all() == []
        assert [headers.get("authorization") for _, _, headers, _ in fake.requests] == [
            "Bearer mine",
            "Bearer mine",
        ]


def test_login_stores_what_the_platform_accepts(
    penstock: Callable[..., Any], gateway: FakeGateway, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.stdin", io.StringIO("pst_secret\n"))
    gateway.answers["/v1/whoami"] = {"account": "ada", "via": "", "everywhere": None, "roles": {}}
    done = penstock("login")
    assert done.code == 0, done.err
    assert "signed in" in done.err
    assert "pst_secret" not in done.out + done.err
    assert find_token(gateway.url) == "pst_secret"
    assert penstock("logout").code == 0
    assert find_token(gateway.url) is None
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert penstock("login").code == 2


def test_the_first_administrators_token_is_made_without_a_platform(
    penstock: Callable[..., Any],
) -> None:
    from penstock_schemas.tokens import hash_of, well_formed

    made = json.loads(penstock("token", "bootstrap", "--json").out)
    assert well_formed(made["token"])
    assert made["hash"] == hash_of(made["token"])
    assert not well_formed(made["token"][:-1] + "!")


def test_accounts_are_written_for_servers_of_ones_own(
    penstock: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    accounts = {"accounts": {"PENSTOCK": {"users": [{"user": "us", "password": "$2a$11$x"}]}}}
    gateway.answers["/v1/platform/accounts/nats"] = accounts
    gateway.answers["/v1/platform/accounts/iam"] = {"policies": {"penstock-a-viewer": {"V": 1}}}
    target = tmp_path / "accounts.conf"
    assert "written" in penstock("credential", "export", "nats", "--to", str(target)).err
    assert "unchanged" in penstock("credential", "export", "nats", "--to", str(target)).err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    head, _, document = target.read_text().partition("accounts: ")
    assert all(line.startswith("#") for line in head.splitlines())
    assert json.loads(document) == accounts["accounts"]
    assert penstock("credential", "export", "nats").out == target.read_text()
    helm = penstock("credential", "export", "nats", "--helm").out
    assert "config:\n  merge:\n    accounts:\n" in helm
    assert json.loads(penstock("credential", "export", "nats", "--json").out) == accounts
    assert penstock("credential", "export", "iam", "--helm").code == 2
    penstock("credential", "export", "iam", "--to", str(tmp_path / "policies"))
    policy = tmp_path / "policies" / "penstock-a-viewer.json"
    assert json.loads(policy.read_text()) == {"V": 1}


def test_the_verbs_ask_what_they_say(penstock: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answers["/v1/vision/member/ci"] = {}
    gateway.answers["/v1/vision/token"] = {"token": "t", "secret": "pst_once"}
    gateway.answers["/v1/vision/credential"] = {"credential": "c", "seed": "SU"}
    penstock("member", "add", "ci", "--role", "editor", "-n", "vision")
    penstock("member", "rm", "ci", "-n", "vision")
    done = penstock("token", "create", "--account", "ci", "--expires-days", "1", "-n", "vision")
    assert done.out == "pst_once\n"
    penstock("credential", "create", "--role", "editor", "-n", "vision")
    asked = [(method, path, body) for method, path, _, body in gateway.requests]
    assert [(method, path) for method, path, _ in asked] == [
        ("PUT", "/v1/vision/member/ci"),
        ("DELETE", "/v1/vision/member/ci"),
        ("POST", "/v1/vision/token"),
        ("POST", "/v1/vision/credential"),
    ]
    assert json.loads(asked[0][2]) == {"role": "editor"}
    assert json.loads(asked[2][2])["expires_in_seconds"] == 86400
    assert json.loads(asked[3][2])["kind"] == "nats"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_private(pipe, "a secret")
        assert read.result(10) == "a secret"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
