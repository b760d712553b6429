"""The manifest of a dataset version, and the id that follows from it.

A version is its content: the schema of each table and the sorted list of files with size and
digest, nothing else (no time, no author, no parent, no place). Its id is the BLAKE3 digest of the
canonical JSON of that, so equal data has an equal id whoever registers it, and whenever.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import blake3

from penstock_datasets.domain.tables import TABLE_NAME, table_of
from penstock_datasets.errors import InvalidManifestError

MANIFEST_FORMAT = 1
MAX_FILES = 100_000
MAX_PATH_BYTES = 1024
MAX_PATH_PART_BYTES = 255
MAX_SIZE_BYTES = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact."""

DIGEST = re.compile(r"blake3:[0-9a-f]{64}")
_CONTROL = ("Cc", "Cs", "Zl", "Zp")  # Unicode's controls, surrogates, line separators
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, kw_only=True, order=True)
class FileEntry:
    """One file: its path in the dataset (`/` between folders), its size and its digest."""

    path: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True, order=True)
class TableSchema:
    """One table: its columns as (name, Arrow type) in the order of the files."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a dataset version is. Build it with `make_manifest`, which checks and sorts."""

    files: tuple[FileEntry, ...]
    tables: tuple[TableSchema, ...]

    @property
    def size_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(file.size_bytes for file in self.files)


def make_manifest(files: Iterable[FileEntry], tables: Iterable[TableSchema]) -> Manifest:
    """Return the checked manifest, files and tables sorted.

    Raises `InvalidManifestError` naming the path and the fix: see `check_path`, sizes and digests;
    no path twice, nor two that differ in case alone or where one is the other's folder; the tables
    are those that the files' paths name (`tables.table_of`).
    """
    sorted_files = tuple(sorted(files))
    sorted_tables = tuple(sorted(tables))
    check_files(sorted_files)
    _check_tables(sorted_files, sorted_tables)
    return Manifest(files=sorted_files, tables=sorted_tables)


def check_files(files: tuple[FileEntry, ...]) -> None:
    """Refuse files that no dataset version may hold; raises `InvalidManifestError`.

    See `make_manifest` for the rules; `files` are sorted.
    """
    if not files:
        raise InvalidManifestError("files: a dataset version needs at least one file")
    if len(files) > MAX_FILES:
        raise InvalidManifestError(
            f"files: {len(files)} files; at most {MAX_FILES} are taken: merge small ones"
        )
    for file in files:
        _check_file(file)
    _check_apart(files)


def canonical_json(manifest: Manifest) -> bytes:
    """Return the one JSON text of `manifest`: UTF-8, keys sorted, no spaces."""
    content = {
        "format": MANIFEST_FORMAT,
        "files": [
            {"path": file.path, "size_bytes": file.size_bytes, "digest": file.digest}
            for file in manifest.files
        ],
        "tables": [
            {
                "name": table.name,
                "columns": [{"name": name, "type": kind} for name, kind in table.columns],
            }
            for table in manifest.tables
        ],
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def read_manifest(data: bytes) -> Manifest:
    """Read what `canonical_json` wrote, with every check; `InvalidManifestError` if it is not."""
    try:
        content = json.loads(data)
        if content["format"] != MANIFEST_FORMAT:
            raise InvalidManifestError(
                f"format: {content['format']!r} is not known; this version reads {MANIFEST_FORMAT}"
            )
        files = [_read_file(item) for item in content["files"]]
        tables = [
            TableSchema(
                name=item["name"], columns=tuple((c["name"], c["type"]) for c in item["columns"])
            )
            for item in content["tables"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidManifestError(
            f"the manifest is not readable: {type(error).__name__}: {error}"
        ) from error
    return make_manifest(files, tables)


def version_id(manifest: Manifest) -> str:
    """Return the id of the dataset version: `blake3:` and the digest of its canonical JSON."""
    return digest_of(canonical_json(manifest))


def digest_of(data: bytes) -> str:
    """Return the digest of `data` as `blake3:<64 hexadecimal digits>`."""
    return f"blake3:{blake3.blake3(data).hexdigest()}"


def check_path(path: str) -> None:
    """Refuse a path that could leave the dataset's folder, or that some system cannot hold.

    A path is relative, with `/` between its parts; no part is empty, `.` or `..`; no backslash, no
    control or surrogate character; in Unicode's NFC form; at most `MAX_PATH_BYTES` long, each part
    at most `MAX_PATH_PART_BYTES`.
    """
    control = next((c for c in path if unicodedata.category(c) in _CONTROL), None)
    if control is not None:
        raise InvalidManifestError(
            f"path {path!r}: it holds the control character U+{ord(control):04X}; rename the file"
        )
    parts = path.split("/")
    rules = (
        ("\\" in path, "it holds a backslash; use '/' between folders"),
        (
            path.startswith("/") or _DRIVE.match(path) is not None,
            "it is absolute; give it relative to the dataset's folder",
        ),
        (
            any(part in ("", ".", "..") for part in parts),
            "a part of it is empty, '.' or '..'; give the plain path inside the dataset",
        ),
        (
            unicodedata.normalize("NFC", path) != path,
            "it is not in Unicode's NFC form; normalise the name",
        ),
        (
            len(path.encode()) > MAX_PATH_BYTES,
            f"it is longer than {MAX_PATH_BYTES} bytes; shorten it",
        ),
        (
            any(len(part.encode()) > MAX_PATH_PART_BYTES for part in parts),
            f"a part of it is longer than {MAX_PATH_PART_BYTES} bytes; shorten it",
        ),
    )
    for is_broken, complaint in rules:
        if is_broken:
            raise InvalidManifestError(f"path {path!r}: {complaint}")


def _check_file(file: FileEntry) -> None:
    check_path(file.path)
    if not 0 <= file.size_bytes <= MAX_SIZE_BYTES:
        raise InvalidManifestError(
            f"path {file.path!r}: size_bytes {file.size_bytes} is not between 0 and 2^53-1"
        )
    if not DIGEST.fullmatch(file.digest):
        raise InvalidManifestError(
            f"path {file.path!r}: digest {file.digest!r} is not 'blake3:' and 64 lower-case "
            "hexadecimal digits"
        )


def _check_apart(files: tuple[FileEntry, ...]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        folded = file.path.casefold()
        if folded in seen:
            raise InvalidManifestError(
                f"path {file.path!r}: the dataset also has {seen[folded]!r}, and some systems "
                "cannot hold both; rename one"
            )
        seen[folded] = file.path
    for file in files:
        parts = file.path.casefold().split("/")
        for depth in range(1, len(parts)):
            if (folder := "/".join(parts[:depth])) in seen:
                raise InvalidManifestError(
                    f"path {file.path!r}: {seen[folder]!r} is a file, it cannot be a folder too"
                )


def _check_tables(files: tuple[FileEntry, ...], tables: tuple[TableSchema, ...]) -> None:
    named = [table.name for table in tables]
    held = sorted({name for file in files if (name := table_of(file.path)) is not None})
    if named != held:
        raise InvalidManifestError(
            f"tables: the schemas are of {named}, but the files' paths name {held}; give one "
            "schema for each table"
        )
    for table in tables:
        columns = [name for name, _ in table.columns]
        if len(set(columns)) != len(columns) or not TABLE_NAME.fullmatch(table.name):
            raise InvalidManifestError(f"tables: {table.name!r} has a column twice")


def _read_file(item: Mapping[str, Any]) -> FileEntry:
    if type(item["size_bytes"]) is not int or type(item["path"]) is not str:
        raise TypeError("files: `path` must be a string and `size_bytes` a whole number")
    return FileEntry(path=item["path"], size_bytes=item["size_bytes"], digest=str(item["digest"]))
