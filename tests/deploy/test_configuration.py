"""What a container's log or a curious person may see of a service's configuration."""

import re
from pathlib import Path

import pytest

from penstock_chassis.settings import PlatformSettings, show


@pytest.mark.parametrize(
    "url",
    [
        "nats://penstock:geheim@nats:4222",
        "nats://a:geheim@nats-0:4222,nats://b:geheim@nats-1:4222",
        "nats://geheim@nats:4222",
    ],
)
def test_show_config_keeps_passwords_and_tokens_of_urls_to_itself(url: str) -> None:
    shown = show(PlatformSettings(nats_url=url))["nats_url"]["value"]
    assert "geheim" not in shown
    assert shown.replace("**********", "geheim") == url


def test_show_config_keeps_secrets_to_itself() -> None:
    settings = PlatformSettings.model_validate({"objects_secret_key": "geheim"})
    assert "geheim" not in str(show(settings))


def test_show_config_leaves_what_is_no_password() -> None:
    url = "nats://nats-0:4222,nats://nats-1:4222"
    assert show(PlatformSettings(nats_url=url))["nats_url"]["value"] == url


def test_the_guide_names_variables_and_files_that_exist(
    root: Path, known_variables: dict[str, set[str]]
) -> None:
    text = (root / "docs" / "deploying.md").read_text()
    example = (root / "compose" / ".env.example").read_text()
    known = set().union(*known_variables.values()) | {"PENSTOCK_URL", "PENSTOCK_TOKEN"}
    known |= {"PENSTOCK_TEST_PULL_IMAGES"}
    known |= set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))
    named = set(re.findall(r"\b((?:PENSTOCK|GATEWAY|JOB)_[A-Z_]*[A-Z])\b", text))
    assert len(named) > 10
    assert named <= known
    for path in re.findall(r"\b((?:deploy|compose|docs|tests)/[\w./-]*\w)", text):
        if "mine" not in path:
            assert (root / path).exists(), path
