"""What the README shows works: its Python runs here, its webhook carries a valid signature."""

import base64
import hashlib
import hmac
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest
from sklearn.linear_model import LogisticRegression

import penstock
import penstock_schemas as schemas
from penstock.client import errors
from penstock.testing import FakeGateway

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
PUBLISH, SUBSCRIBE, TRAIN = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(CURL,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_its_publisher_and_its_subscriber_work(
    gateway: FakeGateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, object] = {}
    exec(PUBLISH, names)
    assert gateway.events[0]["type"] == "queue.requested"
    client = names["client"]
    assert isinstance(client, penstock.Client)

    def end(*types: str, durable: str) -> object:
        try:
            yield from subscribe(*types, durable=durable, timeout_seconds=0.5)
        except errors.TimedOut:
            return

    subscribe = client.subscribe
    list(end("model.promoted", durable="announcer"))  # its position is kept from here on
    gateway.append(
        schemas.ModelPromoted(
            model="late", model_version=2, alias="champion", promotion="p", reason="better"
        )
    )
    monkeypatch.setattr(client, "subscribe", end)
    exec(SUBSCRIBE, names)
    assert capsys.readouterr().out == "late version 2 - better\n"
    client.close()


def test_its_training_script_runs_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pandas.DataFrame({"distance": [100.0, 200.0, 900.0, 950.0], "late": [0, 0, 1, 1]})
    made = penstock.run(environ={}, directory=tmp_path)
    monkeypatch.setattr(made, "input", Path)
    reader = SimpleNamespace(read_parquet=lambda path: table)
    script = {
        "penstock": SimpleNamespace(run=lambda: made),
        "pandas": reader,
        "LogisticRegression": LogisticRegression,
    }
    exec(TRAIN, script)
    assert '"accuracy": 1.0' in (tmp_path / "result.json").read_text()
    assert (tmp_path / "output" / "model" / "signature.json").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_its_webhook_is_signed_as_the_standard_asks(tmp_path: Path) -> None:
    key = bytes(range(24))
    curl = tmp_path / "curl"
    curl.write_text('#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "$one"; done\n')
    curl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SECRET": base64.b64encode(key).decode()}
    done = subprocess.run(
        ["sh", "-c", CURL], env=environment, capture_output=True, text=True, check=True
    )
    sent = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    body = done.stdout.splitlines()[-1]
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.{body}".encode()
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert sent["webhook-signature"] == f"v1,{digest}"
    assert "/v1/webhooks/default/airline" in done.stdout
