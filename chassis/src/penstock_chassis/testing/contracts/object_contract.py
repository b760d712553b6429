"""The contract of the object store: content addresses, verification, folders.

Needs a fixture `tamper`: an async function that overwrites the bytes behind a URI.
"""
# ruff: noqa: D102 - the name of a test is its sentence

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock_chassis.errors import DigestMismatch, NotFound, TooLarge
from penstock_chassis.ports import Ports
from penstock_chassis.testing.contracts.suite import Suite
from penstock_schemas import ObjectRef

Tamper = Callable[[str, bytes], Awaitable[None]]
BIG_BYTES = 20 * 2**20
"""More than one part of a multipart upload."""


class ObjectStoreContract(Suite):
    """Objects."""

    async def test_bytes_come_back_as_they_were(self, ports: Ports, ns: str) -> None:
        for data in (b"", b"a", bytes(range(256)) * 100):
            ref = await ports.objects.put(ns, data)
            assert ref.kind == "file"
            assert ref.size_bytes == len(data)
            assert await ports.objects.get(ref) == data

    async def test_the_key_is_namespace_algorithm_and_digest(self, ports: Ports, ns: str) -> None:
        ref = await ports.objects.put(ns, b"a")
        algorithm, _, hexadecimal = ref.digest.partition(":")
        key = f"/{ns}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
        assert ref.uri.endswith(key)

    async def test_equal_bytes_are_one_object(self, ports: Ports, ns: str, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"same")
        first = await ports.objects.put(ns, b"same")
        assert await ports.objects.put(ns, b"same") == first
        assert await ports.objects.put_file(ns, path) == first
        assert (await ports.objects.put(f"{ns}b", b"same")).uri != first.uri

    async def test_a_big_file_comes_back_as_it_was(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        path, target = tmp_path / "big", tmp_path / "fetched"
        path.write_bytes(bytes(BIG_BYTES) + b"end")
        ref = await ports.objects.put_file(ns, path)
        assert ref.size_bytes == BIG_BYTES + 3
        await ports.objects.fetch(ref, target)
        assert target.read_bytes() == path.read_bytes()

    async def test_get_refuses_what_is_larger_than_the_caller_takes(
        self, ports: Ports, ns: str
    ) -> None:
        ref = await ports.objects.put(ns, bytes(1000))
        with pytest.raises(TooLarge):
            await ports.objects.get(ref, size_bytes_max=999)
        lying = ref.model_copy(update={"size_bytes": 1})
        with pytest.raises(TooLarge):
            await ports.objects.get(lying, size_bytes_max=999)
        assert len(await ports.objects.get(ref, size_bytes_max=1000)) == 1000

    async def test_what_is_not_there_is_not_found(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        ref = await ports.objects.put(ns, b"a")
        absent = ref.model_copy(update={"uri": ref.uri[:-4] + "0000"})
        with pytest.raises(NotFound):
            await ports.objects.get(absent)
        with pytest.raises(NotFound):
            await ports.objects.fetch(absent, tmp_path / "target")
        with pytest.raises(NotFound):
            await ports.objects.read_uri(ns, absent.uri, tmp_path / "raw")
        assert not (tmp_path / "target").exists()

    async def test_tampered_bytes_are_never_handed_out(
        self, ports: Ports, ns: str, tmp_path: Path, tamper: Tamper
    ) -> None:
        ref = await ports.objects.put(ns, b"honest")
        await tamper(ref.uri, b"forged")
        with pytest.raises(DigestMismatch):
            await ports.objects.get(ref)
        with pytest.raises(DigestMismatch):
            await ports.objects.fetch(ref, tmp_path / "target")
        assert _names(tmp_path) == []

    async def test_a_folder_comes_back_as_it_was(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        ref = await _put_folder(ports, ns, tmp_path)
        assert ref.kind == "folder"
        assert ref.size_bytes == 6
        target = tmp_path / "target"
        await ports.objects.fetch(ref, target)
        assert _content(target) == {"a.txt": b"a", "deep/er/b": b"bb", "deep/c d": b"ccc"}

    async def test_equal_folders_have_equal_references(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        first = await _put_folder(ports, ns, tmp_path / "one")
        assert await _put_folder(ports, ns, tmp_path / "two") == first

    async def test_a_fetch_replaces_what_is_at_its_target(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        ref = await _put_folder(ports, ns, tmp_path)
        target = tmp_path / "target"
        target.mkdir()
        (target / "left over").write_bytes(b"x")
        await ports.objects.fetch(ref, target)
        assert "left over" not in _content(target)

    async def test_a_folder_with_a_tampered_file_is_not_fetched_at_all(
        self, ports: Ports, ns: str, tmp_path: Path, tamper: Tamper
    ) -> None:
        ref = await _put_folder(ports, ns, tmp_path)
        part = await ports.objects.put(ns, b"bb")
        await tamper(part.uri, b"xx")
        with pytest.raises(DigestMismatch):
            await ports.objects.fetch(ref, tmp_path / "target")
        assert _names(tmp_path) == ["source"]

    async def test_a_tampered_manifest_is_not_followed(
        self, ports: Ports, ns: str, tmp_path: Path, tamper: Tamper
    ) -> None:
        ref = await _put_folder(ports, ns, tmp_path)
        await tamper(ref.uri, b'{"files":[]}')
        with pytest.raises(DigestMismatch):
            await ports.objects.fetch(ref, tmp_path / "target")
        assert not (tmp_path / "target").exists()

    async def test_a_folder_with_a_link_is_refused_by_name(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to("elsewhere")
        with pytest.raises(ValueError, match="link"):
            await ports.objects.put_folder(ns, tmp_path)

    async def test_any_object_can_be_read_by_its_uri(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        ref = await ports.objects.put(ns, b"raw")
        await ports.objects.read_uri(ns, ref.uri, tmp_path / "raw")
        assert (tmp_path / "raw").read_bytes() == b"raw"

    async def test_an_object_of_another_namespace_is_not_read_by_its_address(
        self, ports: Ports, ns: str, tmp_path: Path
    ) -> None:
        ref = await ports.objects.put(ns, b"raw")
        around = ref.uri.replace(f"/{ns}/", f"/other/../{ns}/")
        quoted = ref.uri.replace(f"/{ns}/", f"/%{ord(ns[0]):02x}{ns[1:]}/")
        for uri in (ref.uri, around, ref.uri.replace(f"/{ns}/", f"//{ns}/"), quoted):
            with pytest.raises(ValueError, match="another namespace"):
                await ports.objects.read_uri("other", uri, tmp_path / "stolen")
        assert _names(tmp_path) == []


async def _put_folder(ports: Ports, ns: str, parent: Path) -> ObjectRef:
    folder = parent / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "deep" / "er" / "b").write_bytes(b"bb")
    (folder / "deep" / "c d").write_bytes(b"ccc")
    return await ports.objects.put_folder(ns, folder)


def _content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
