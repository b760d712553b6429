"""The settings of the gateway refuse what would be unsafe."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from penstock_gateway.app import make_context
from penstock_gateway.settings import GatewaySettings


def test_an_open_address_needs_the_names_under_which_it_is_reached() -> None:
    with pytest.raises(ValidationError, match="ALLOWED_HOSTS"):
        GatewaySettings(host="0.0.0.0")
    assert "example.org" in GatewaySettings(host="0.0.0.0", allowed_hosts=("Example.org",)).hosts


def test_secrets_come_from_the_environment_and_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text('{"audio/radio": "whsec_Yg=="}')
    file.chmod(0o600)
    monkeypatch.setenv("PENSTOCK_GATEWAY_WEBHOOK_SECRETS", '{"vision/airline": "whsec_YQ=="}')
    settings = GatewaySettings(webhook_secrets_file=file)
    assert settings.read_webhook_secrets() == {
        ("vision", "airline"): "whsec_YQ==",
        ("audio", "radio"): "whsec_Yg==",
    }
    assert "whsec" not in repr(settings)


def test_a_file_of_secrets_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    file.write_text("{}")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        GatewaySettings(webhook_secrets_file=file).read_webhook_secrets()


@pytest.mark.parametrize("text", ["{", "[]", '{"vision": "whsec_YQ=="}', '{"a.b/c": "x"}'])
def test_secrets_that_are_not_readable_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="webhook_secrets"):
        GatewaySettings(webhook_secrets=text).read_webhook_secrets()


def test_a_secret_that_is_no_secret_is_refused_at_the_start(api: object) -> None:
    settings = GatewaySettings(webhook_secrets={"vision/airline": "whsec_"})
    with pytest.raises(ValueError, match="webhook secret"):
        make_context(settings, api.ports)  # type: ignore[attr-defined]


def test_the_read_model_is_a_file_in_the_working_folder_or_a_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = GatewaySettings(work_dir=tmp_path)
    assert settings.read_model_path == tmp_path / "read-model.sqlite"
    url = "postgresql://penstock:hidden@db.example.org/penstock"
    settings = GatewaySettings(database_url=SecretStr(url))
    assert settings.database_url.get_secret_value() == url
    assert "hidden" not in repr(settings)
    monkeypatch.setenv("PENSTOCK_GATEWAY_DATABASE_URL", "mysql://penstock:hidden@db/penstock")
    with pytest.raises(ValidationError, match="postgresql://") as refused:
        GatewaySettings()
    assert "hidden" not in str(refused.value)
