"""What the datasets service does on each event."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock_chassis.decider import Decider
from penstock_chassis.digests import new_hasher
from penstock_chassis.errors import DigestMismatch, NotFound, TooLarge
from penstock_chassis.folders import (
    FolderEntry,
    InvalidManifest,
    folder_files,
    parse_manifest,
    render_manifest,
)
from penstock_chassis.message import Recorded
from penstock_chassis.ports import Clock, ObjectStore
from penstock_datasets.domain.facts import to_tables
from penstock_datasets.domain.rules import (
    Parent,
    check_request,
    decide_profiled,
    decide_refused,
    decide_registered,
    is_request_open,
    is_version_open,
    merge,
    parent_of,
)
from penstock_datasets.domain.state import State
from penstock_datasets.errors import InvalidDatasetError, InvalidManifestError, RefusedError
from penstock_datasets.ports import Folders, Profiler
from penstock_schemas import (
    DatasetProfiled,
    DatasetRegistered,
    DatasetRequested,
    ObjectRef,
)
from penstock_schemas.nouns.dataset import SourceFile

HASH_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Desk:
    """What the handlers work with."""

    decider: Decider[State]
    objects: ObjectStore
    clock: Clock
    profiler: Profiler
    folders: Folders
    scratch: Path
    allowed_folders: tuple[Path, ...] = ()


async def on_dataset_requested(desk: Desk, message: Recorded) -> None:
    """Take the files in and register the version, or refuse the request."""
    event = message.event
    assert isinstance(event, DatasetRequested)
    await desk.decider.fold.reach(message.sequence)
    state = desk.decider.fold.state
    if not is_request_open(state, message):
        return
    try:
        check_request(event)
        parent = parent_of(state, message)
        kept = await _kept(desk, parent)
        with _scratch(desk.scratch / message.id) as scratch:
            taken = [
                await _take(desk, message.namespace, number, file, scratch)
                for number, file in enumerate(event.files)
            ]
        entries = merge(kept, taken)
        stored = await desk.objects.put(message.namespace, render_manifest(entries))
        size_bytes = sum(entry.size_bytes for entry in entries)
        manifest = stored.model_copy(update={"kind": "folder", "size_bytes": size_bytes})
        rule = partial(decide_registered, parent=parent, manifest=manifest, files=len(entries))
        await desk.decider.handle(message, rule)
    except RefusedError as refused:
        await desk.decider.handle(message, partial(decide_refused, refused=refused))


async def on_dataset_registered(desk: Desk, message: Recorded) -> None:
    """Verify every byte of the version and say what it holds, or refuse it."""
    await desk.decider.fold.reach(message.sequence)
    if not is_version_open(desk.decider.fold.state, message, desk.profiler.version):
        return
    try:
        profiled = await _profile(desk, message)
        await desk.decider.handle(message, partial(decide_profiled, profiled=profiled))
    except RefusedError as refused:
        await desk.decider.handle(message, partial(decide_refused, refused=refused))


async def _profile(desk: Desk, message: Recorded) -> DatasetProfiled:
    event = message.event
    assert isinstance(event, DatasetRegistered)
    if event.manifest.kind != "folder" or event.manifest.digest != event.dataset_version:
        raise RefusedError(
            f"the manifest is a {event.manifest.kind} with the digest {event.manifest.digest}",
            field="manifest",
            fix="name a folder whose digest is `dataset_version`",
        )
    started = desk.clock.now()
    try:
        async with desk.folders.hold(message.namespace, event.manifest) as folder:
            files = {path: folder / path for path in folder_files(folder)}
            profile = await desk.profiler.profile(files)
    except (NotFound, DigestMismatch, InvalidManifest) as error:
        raise RefusedError(
            f"version {event.dataset_version}: {error}",
            field="manifest",
            fix="upload the file again and register the version anew",
        ) from error
    except (InvalidDatasetError, InvalidManifestError) as error:
        raise RefusedError(
            str(error), field="manifest", fix="correct that file and register a new version"
        ) from error
    full = await desk.objects.put(message.namespace, profile.to_bytes())
    return DatasetProfiled(
        dataset=event.dataset,
        dataset_version=event.dataset_version,
        manifest=event.manifest,
        tables=to_tables(profile),
        profile=full,
        profiler=profile.profiler,
        seconds=(desk.clock.now() - started).total_seconds(),
    )


async def _kept(desk: Desk, parent: Parent | None) -> list[FolderEntry]:
    if parent is None:
        return []
    try:
        return parse_manifest(await desk.objects.get(parent.manifest))
    except (NotFound, DigestMismatch, InvalidManifest, TooLarge) as error:
        raise RefusedError(
            f"version {parent.digest} cannot be extended: {error}",
            field="extends",
            fix="extend another version, or ask for all files again",
        ) from error


async def _take(
    desk: Desk, namespace: str, number: int, file: SourceFile, scratch: Path
) -> FolderEntry:
    """Store one file; raises `RefusedError` naming the part of the request at fault."""
    target = scratch / str(number)
    try:
        if file.uri.startswith("file://"):
            await asyncio.to_thread(_copy_allowed, file.uri, target, desk.allowed_folders)
        else:
            await desk.objects.read_uri(namespace, file.uri, target)
    except (NotFound, ValueError) as error:
        raise RefusedError(
            f"{file.path}: {error}",
            field=f"files.{number}.uri",
            fix="name an object that the platform can read, or a file in an allowed folder",
        ) from error
    if file.digest is not None:
        found = await asyncio.to_thread(_digest, target, file.digest)
        if found != file.digest:
            raise RefusedError(
                f"{file.path}: the bytes at {file.uri} hash to {found}, not to {file.digest}",
                field=f"files.{number}.digest",
                fix="upload the file again, or correct the digest",
            )
    stored: ObjectRef = await desk.objects.put_file(namespace, target)
    await asyncio.to_thread(target.unlink)
    return FolderEntry(file.path, stored.size_bytes, stored.digest)


def _copy_allowed(uri: str, target: Path, allowed_folders: tuple[Path, ...]) -> None:
    """Copy a local file; raises `ValueError` outside of the allowed folders, links resolved."""
    parts = urlsplit(uri)
    source = Path(unquote(parts.path)).resolve()
    allowed = any(source.is_relative_to(folder.resolve()) for folder in allowed_folders)
    if parts.netloc not in ("", "localhost") or not allowed:
        raise ValueError(f"{uri} lies in no folder that the platform's settings allow")
    if not source.is_file():
        raise ValueError(f"{uri} is not a regular file")
    shutil.copyfile(source, target)


def _digest(path: Path, expected: str) -> str:
    hasher = new_hasher(expected)
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            hasher.update(block)
    return hasher.digest()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; what a crash left there under its name goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
