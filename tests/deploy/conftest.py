"""What the tests of the deployment read: the files themselves, parsed once."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.settings import PlatformSettings

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")

Objects = list[dict[str, Any]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def services() -> list[str]:
    """Every installed service."""
    return installed_names()


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """`compose.yaml` with its merges and aliases resolved, its variables as they stand."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())
    return loaded


@pytest.fixture(scope="session")
def known_variables() -> dict[str, set[str]]:
    """By service, every environment variable that it understands."""
    shared = {f"PENSTOCK_{name}".upper() for name in PlatformSettings.model_fields}
    known = {}
    for name in installed_names():
        settings = load_service(name).settings
        prefix = str(settings.model_config.get("env_prefix"))
        known[name] = shared | {f"{prefix}{field}".upper() for field in settings.model_fields}
    return known


@pytest.fixture(scope="session")
def kustomize() -> Callable[[str], Objects]:
    """What `kubectl kustomize` makes of a folder below `deploy/`."""
    made: dict[str, Objects] = {}

    def render(folder: str) -> Objects:
        if folder not in made:
            done = subprocess.run(
                [KUBECTL, "kustomize", ROOT / "deploy" / folder],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            made[folder] = [item for item in yaml.safe_load_all(done.stdout) if item]
        return made[folder]

    return render
