"""Equal data, equal id; and every rule of a path with a refusal that helps."""

from __future__ import annotations

import dataclasses
import json
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_datasets.domain.manifest import (
    FileEntry,
    Manifest,
    TableSchema,
    canonical_json,
    check_path,
    digest_of,
    make_manifest,
    read_manifest,
    version_id,
)
from penstock_datasets.domain.tables import group_by_table, table_of
from penstock_datasets.errors import InvalidManifestError

FLIGHTS = TableSchema(name="flights", columns=(("origin", "string"), ("late", "int64")))


def entry(path: str, content: bytes = b"") -> FileEntry:
    return FileEntry(path=path, size_bytes=len(content), digest=digest_of(content))


def small() -> Manifest:
    return make_manifest(
        [entry("flights-2013-02.parquet", b"2"), entry("flights-2013-01.parquet", b"1")], [FLIGHTS]
    )


def test_the_digest_is_blake3_as_its_authors_publish_it() -> None:
    """The first test vector of the BLAKE3 repository: the empty input."""
    assert digest_of(b"") == (
        "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    )


def test_the_id_of_a_known_manifest_never_changes() -> None:
    """Ids are in event logs for ever: another value here is a break of every stored version."""
    assert canonical_json(small()).startswith(b'{"files":[{"digest":"blake3:')
    assert version_id(small()) == version_id(read_manifest(canonical_json(small())))
    assert version_id(small()) == (
        "blake3:2e66a44e1f1d1d25d6df351f349d9056ce61f04d8b1120c4374d61850c2b27e8"
    )


@given(st.permutations(["a.txt", "b/c.txt", "d.txt", "B.csv"]))
def test_the_order_in_which_files_are_given_does_not_matter(paths: list[str]) -> None:
    made = make_manifest([entry(path, path.encode()) for path in paths], [])
    assert [file.path for file in made.files] == ["B.csv", "a.txt", "b/c.txt", "d.txt"]
    assert version_id(made) == version_id(make_manifest(sorted(made.files), []))


@pytest.mark.parametrize(
    "change",
    [
        {"path": "flights-2013-03.parquet"},
        {"size_bytes": 2},
        {"digest": digest_of(b"other")},
    ],
)
def test_any_difference_in_a_file_gives_another_id(change: dict[str, object]) -> None:
    first, second = small().files
    other = make_manifest([first, dataclasses.replace(second, **change)], [FLIGHTS])  # type: ignore[arg-type]
    assert version_id(other) != version_id(small())


def test_a_difference_in_a_schema_gives_another_id() -> None:
    other = dataclasses.replace(FLIGHTS, columns=(("origin", "string"), ("late", "double")))
    assert version_id(make_manifest(small().files, [other])) != version_id(small())


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@given(st.lists(names, min_size=1, max_size=6))
def test_a_manifest_survives_its_json_or_is_refused(paths: list[str]) -> None:
    try:
        made = make_manifest([entry(path) for path in paths], [])
    except InvalidManifestError:
        return
    assert read_manifest(canonical_json(made)) == made


@given(names)
def test_an_accepted_path_never_leaves_its_folder(path: str) -> None:
    try:
        check_path(path)
    except InvalidManifestError:
        return
    assert posixpath.normpath(path) == path
    assert not posixpath.isabs(path)
    assert path != ".."
    assert not path.startswith("../")
    assert not any(ord(character) < 32 for character in path)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("C:/data.csv", "absolute"),
        ("../up.csv", r"'\.\.'"),
        ("a/../b.csv", r"'\.\.'"),
        ("a//b.csv", "empty"),
        ("a/./b.csv", r"'\.'"),
        ("a/", "empty"),
        ("a\\b.csv", "backslash"),
        ("a\nb.csv", r"U\+000A"),
        ("a\x00b", r"U\+0000"),
        ("a\x7fb", r"U\+007F"),
        ("a\x85b", r"U\+0085"),
        ("a\u2028b", r"U\+2028"),
        ("a\ud800b", r"U\+D800"),
        ("cafe\u0301.csv", "NFC"),
        ("é" * 600, "longer than 1024 bytes"),
        ("é" * 128, "part of it is longer than 255 bytes"),
    ],
)
def test_a_bad_path_is_refused_with_the_reason(path: str, complaint: str) -> None:
    with pytest.raises(InvalidManifestError, match=complaint) as caught:
        make_manifest([entry(path)], [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "tables", "complaint"),
    [
        ([], [], "at least one file"),
        ([entry("a.csv"), entry("a.csv")], [], "cannot hold both"),
        ([entry("a.csv"), entry("A.csv")], [], "cannot hold both"),
        ([entry("a"), entry("A/b")], [], "cannot be a folder too"),
        ([dataclasses.replace(entry("a"), size_bytes=-1)], [], "size_bytes -1"),
        ([dataclasses.replace(entry("a"), size_bytes=2**53)], [], "size_bytes"),
        ([dataclasses.replace(entry("a"), digest="sha256:" + "0" * 64)], [], "is not 'blake3:'"),
        ([dataclasses.replace(entry("a"), digest="blake3:" + "A" * 64)], [], "lower-case"),
        ([entry("a.parquet")], [], r"schemas are of \[\].*name \['a'\]"),
        ([entry("a.csv")], [FLIGHTS], r"schemas are of \['flights'\].*name \[\]"),
        (
            [entry("t.parquet")],
            [TableSchema(name="t", columns=(("x", "int64"), ("x", "int64")))],
            "a column twice",
        ),
    ],
)
def test_a_bad_manifest_is_refused_with_the_reason(
    files: list[FileEntry], tables: list[TableSchema], complaint: str
) -> None:
    with pytest.raises(InvalidManifestError, match=complaint):
        make_manifest(files, tables)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": "none"},
        {"files": [{"path": "a", "size_bytes": "1", "digest": digest_of(b"")}]},
        {"files": [{"path": "a", "size_bytes": True, "digest": digest_of(b"")}]},
        {"files": [{"path": "../a", "size_bytes": 1, "digest": digest_of(b"")}]},
        {"tables": [{"name": "flights"}]},
    ],
)
def test_a_manifest_from_elsewhere_is_checked_again(change: dict[str, object]) -> None:
    content = json.loads(canonical_json(small())) | change
    with pytest.raises(InvalidManifestError):
        read_manifest(json.dumps(content).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidManifestError):
        read_manifest(data)


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("flights-2013-01.parquet", "flights"),
        ("flights_2013.parquet", "flights"),
        ("flights.2013.parquet", "flights"),
        ("bike-trips-2013-01.parquet", "bike-trips"),
        ("airports.parquet", "airports"),
        ("covid19.parquet", "covid19"),
        ("part-00000.parquet", "part"),
        ("2013-01.parquet", "2013"),
        ("weather/2013/01.parquet", "weather"),
        ("weather/flights-2013.parquet", "weather"),
        ("README.md", None),
        ("flights-2013.csv", None),
        ("weather/notes.txt", None),
    ],
)
def test_a_path_names_its_table(path: str, table: str | None) -> None:
    assert table_of(path) == table


@pytest.mark.parametrize(
    "path", ["my table.parquet", ".parquet", "vols été/1.parquet", "-1.parquet"]
)
def test_a_name_that_cannot_be_a_tables_is_refused(path: str) -> None:
    with pytest.raises(InvalidManifestError, match="cannot name a table"):
        table_of(path)


def test_files_are_grouped_in_order_and_others_left_out() -> None:
    paths = ["w/2.parquet", "f-2.parquet", "README.md", "f-1.parquet", "w/1.parquet"]
    assert group_by_table(paths) == {
        "f": ["f-1.parquet", "f-2.parquet"],
        "w": ["w/1.parquet", "w/2.parquet"],
    }
