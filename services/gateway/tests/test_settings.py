"""The settings of the gateway refuse what would be unsafe."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from penstock_chassis.accounts import hash_of, make_token
from penstock_chassis.embedded.files import write_private
from penstock_chassis.errors import ChassisError
from penstock_chassis.sealing import new_key
from penstock_chassis.testing import SimWorld
from penstock_gateway.app import make_context
from penstock_gateway.settings import GatewaySettings


def test_an_open_address_needs_the_names_under_which_it_is_reached() -> None:
    known = {"auth": "tokens", "admin_token_hash": "ab" * 32}
    with pytest.raises(ValidationError, match="ALLOWED_HOSTS"):
        GatewaySettings(host="0.0.0.0", **known)
    settings = GatewaySettings(host="0.0.0.0", allowed_hosts=("Example.org",), **known)
    assert "example.org" in settings.hosts


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "penstock.example.org"])
def test_an_address_that_others_reach_needs_people_to_say_who_they_are(host: str) -> None:
    with pytest.raises(ValidationError, match="PENSTOCK_AUTH=tokens"):
        GatewaySettings(host=host, allowed_hosts=("*",))


def test_tokens_without_any_way_in_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="lets nobody in"):
        GatewaySettings(auth="tokens")
    with pytest.raises(ValidationError, match="oidc_audience"):
        GatewaySettings(auth="tokens", oidc_issuer="https://accounts.example.org")
    with pytest.raises(ValidationError, match="PENSTOCK_AUTH=tokens"):
        GatewaySettings(oidc_issuer="https://accounts.example.org", oidc_audience="penstock")
    with pytest.raises(ValidationError, match="roles are"):
        GatewaySettings(oidc_roles={"group": {"vision": "owner"}})
    for bad in ("abc", "pst_cut-off"):
        (tmp_path / "admin").write_text(bad)
        settings = GatewaySettings(auth="tokens", admin_token_file=tmp_path / "admin")
        with pytest.raises(ValueError, match="admin"):
            settings.read_admin_hash()
    token = make_token()
    (tmp_path / "admin").write_text(token + "\n")
    assert settings.read_admin_hash() == hash_of(token)


def test_a_sealing_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secrets.key"
    file.write_text(new_key())
    file.chmod(0o644)
    with pytest.raises(ChassisError, match="chmod 600"):
        make_context(GatewaySettings(secrets_key_file=file), SimWorld().ports())


@pytest.mark.parametrize("text", ["", "\n", "short", "c2hvcnQ=", "hush hush", "\u00e9"])
def test_a_sealing_key_that_is_none_is_refused_without_saying_what_it_is(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "secrets.key"
    write_private(file, text)
    with pytest.raises(ChassisError, match=r"secrets\.key") as refused:
        make_context(GatewaySettings(secrets_key_file=file), SimWorld().ports())
    assert "hush" not in str(refused.value)


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
