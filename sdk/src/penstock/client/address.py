"""Where the platform is: an argument, `PENSTOCK_URL`, or the platform that runs on this machine."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from penstock.client.errors import NotRunning, PenstockError

URL_VARIABLE = "PENSTOCK_URL"
SERVING_URL_VARIABLE = "PENSTOCK_SERVING_URL"
NAMESPACE_VARIABLE = "PENSTOCK_NAMESPACE"
DATA_DIR_VARIABLE = "PENSTOCK_DATA_DIR"
DEFAULT_NAMESPACE = "default"
START_HINT = "start one with `penstock up`, or name another with PENSTOCK_URL"


class Address(NamedTuple):
    """The base URLs; `serving_url` is None where only the gateway knows it."""

    gateway_url: str
    serving_url: str | None = None


def find_address(url: str | None = None, environ: Mapping[str, str] = os.environ) -> Address:
    """The address to use. Raises `NotRunning` where none is given and none runs here."""
    given = url or environ.get(URL_VARIABLE)
    if given:
        return Address(_checked(given), environ.get(SERVING_URL_VARIABLE) or None)
    folder = data_dir(environ)
    found = _published(folder / "run" / "platform.json")
    gateway_url = found.get("gateway_url")
    if not isinstance(gateway_url, str) or not gateway_url:
        raise NotRunning(f"no platform runs in {folder}", hint=START_HINT)
    serving_url = (found.get("extra") or {}).get("serving_url") or found.get("serving_url")
    return Address(_checked(gateway_url), serving_url or None)


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The data directory that `penstock up` uses in this environment (XDG Base Directory 0.8)."""
    given = environ.get(DATA_DIR_VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    base = Path(environ.get("XDG_DATA_HOME", ""))
    # The specification says to ignore a relative path here.
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "penstock"


def state_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where this machine's subscribers keep how far they have read."""
    base = Path(environ.get("XDG_STATE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "state") / "penstock"


def _published(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise PenstockError(
            f"{url!r} is not the address of a platform",
            field="url",
            hint=f"write it as http://HOST:PORT, e.g. {URL_VARIABLE}=http://127.0.0.1:7360",
        )
    return url.rstrip("/")
