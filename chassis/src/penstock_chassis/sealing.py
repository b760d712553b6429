"""Sealing keys, and what is sealed under them: AES-256-GCM, bound to the place of the secret.

A key file holds one key a line, base64 of 32 bytes: the first seals, all open. So the key itself
can be changed: put a new line first, set the secrets again, remove the old line.
"""

import base64
import hashlib
import hmac
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock_chassis.errors import ChassisError, Sealed

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 4
FINGERPRINT_LENGTH = 16
"""Hex digits."""
KEY_FILE_BYTES_MAX = 65_536
FORBIDDEN_MODE = 0o037
"""Its group may read a key file (as Kubernetes mounts it); nobody else may do anything."""


class Sealer:
    """Seals and opens bytes. `place` is authenticated with them: moved elsewhere they do not open.

    Nonces are random: at most 2³² seals under one key keep a collision below 2⁻³² (NIST SP
    800-38D, 8.3).
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys, "a sealer needs a key"
        assert all(len(key) == KEY_BYTES for key in keys)
        self._keys = {_key_id(key): key for key in keys}
        self._first = keys[0]

    def __repr__(self) -> str:
        return f"Sealer({len(self._keys)} keys)"

    def seal(self, place: str, data: bytes) -> bytes:
        """The id of the key, a nonce, and the sealed bytes."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self._first).encrypt(nonce, data, place.encode())
        return _key_id(self._first) + nonce + sealed

    def open(self, place: str, sealed: bytes) -> bytes:
        """The bytes. Raises `Sealed` where no key of ours opens them at this place."""
        key = self._keys.get(sealed[:KEY_ID_BYTES])
        if key is None:
            raise Sealed(f"{place} was sealed under a key that is not in the key file")
        nonce = sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        try:
            return AESGCM(key).decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], place.encode())
        except (InvalidTag, ValueError):
            raise Sealed(f"{place} does not open: it was changed or moved in the store") from None

    def fingerprint(self, place: str, value: str) -> str:
        """Tells values apart. Keyed: without the sealing key no guess can be tested against it."""
        said = hmac.new(self._first, f"fingerprint\n{place}\n{value}".encode(), hashlib.sha256)
        return said.hexdigest()[:FINGERPRINT_LENGTH]


def new_key() -> str:
    """A line of a key file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_key_file(path: Path) -> Sealer:
    """The sealer of a key file. Raises `ChassisError` saying what is wrong, never what is in it."""
    path = path.expanduser()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_bytes()[:KEY_FILE_BYTES_MAX].decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ChassisError(f"the sealing key {path.name} cannot be read: {error}") from None
    if mode & FORBIDDEN_MODE:
        raise ChassisError(f"{path.name} can be read by others: chmod 600 {path.name}")
    return read_keys(text, path.name)


def read_keys(text: str, where: str) -> Sealer:
    """The sealer of keys between white space. Raises `ChassisError`, never saying what is in it."""
    keys = []
    for number, word in enumerate(text.split(), 1):
        try:
            keys.append(base64.b64decode(word, validate=True))
        except ValueError:
            keys.append(b"")
        if len(keys[-1]) != KEY_BYTES:
            raise ChassisError(
                f"{where}: key {number} is not base64 of {KEY_BYTES} bytes; make one with "
                "`openssl rand -base64 32`"
            )
    if not keys:
        raise ChassisError(f"{where} holds no key; make one with `openssl rand -base64 32`")
    return Sealer(keys)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key id\n" + key).digest()[:KEY_ID_BYTES]
