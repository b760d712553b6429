"""Which token a client sends: an argument, `PENSTOCK_TOKEN`, or what `penstock login` stored.

Tokens are stored by the address of their platform in `$XDG_CONFIG_HOME/penstock/tokens.json`, a
file that its owner alone may read; they are sent to no other address.
"""

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from penstock.client.errors import PenstockError

TOKEN_VARIABLE = "PENSTOCK_TOKEN"  # noqa: S105 - a name
FILE = "tokens.json"
PRIVATE_MODE = 0o600
OTHERS = 0o077


def find_token(
    url: str, token: str | None = None, environ: Mapping[str, str] = os.environ
) -> str | None:
    """The token for the platform at `url`, None where there is none."""
    return token or environ.get(TOKEN_VARIABLE) or _stored(token_file(environ)).get(url)


def store_token(url: str, token: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Keep a token for the platform at `url`; the file."""
    path = token_file(environ)
    _write(path, {**_stored(path), url: token})
    return path


def forget_token(url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Forget the token for the platform at `url`; whether there was one."""
    path = token_file(environ)
    kept = _stored(path)
    if kept.pop(url, None) is None:
        return False
    _write(path, kept)
    return True


def token_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where tokens are stored (XDG Base Directory 0.8)."""
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The specification says to ignore a relative path here.
    return (base if base.is_absolute() else Path.home() / ".config") / "penstock" / FILE


def _stored(path: Path) -> dict[str, str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PenstockError(f"{path} is not readable: {error}", hint="penstock login") from None
    if mode & OTHERS:
        raise PenstockError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    if not isinstance(found, dict):
        return {}
    return {url: token for url, token in found.items() if isinstance(token, str)}


def _write(path: Path, tokens: Mapping[str, str]) -> None:
    write_private(path, json.dumps(dict(tokens), indent=2))


def write_private(path: Path, text: str) -> None:
    """Replace a file whole; it never exists readable by others, nor half. What is no file, such
    as `/dev/stdout`, is written to and stays what it is."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)  # made with PRIVATE_MODE
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(scratch).chmod(PRIVATE_MODE)
    Path(scratch).replace(path)
