"""What follows from a request and from a version: the decisions of the service."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock_chassis.errors import Retry
from penstock_chassis.folders import FolderEntry
from penstock_chassis.message import Recorded
from penstock_datasets.domain.manifest import FileEntry, check_files, check_path
from penstock_datasets.domain.state import State
from penstock_datasets.domain.tables import table_of
from penstock_datasets.errors import InvalidManifestError, RefusedError
from penstock_schemas import (
    DatasetProfiled,
    DatasetRegistered,
    DatasetRejected,
    DatasetRequested,
    Event,
    ObjectRef,
)

LATEST = "latest"
REASON_LENGTH_MAX = 900
OVERTAKEN_RETRY_SECONDS = 0.1


@dataclass(frozen=True)
class Parent:
    """The version whose files a request keeps."""

    digest: str
    manifest: ObjectRef


def is_request_open(state: State, message: Recorded) -> bool:
    """Whether nothing has been said to this request."""
    return message.id not in state.of(message).answered


def is_version_open(state: State, message: Recorded, profiler: str) -> bool:
    """Whether this registration needs a profile by this profiler."""
    event = message.event
    assert isinstance(event, DatasetRegistered)
    dataset = state.of(message)
    version = dataset.versions.get(event.dataset_version)
    is_profiled = version is not None and profiler in version.profilers
    return message.id not in dataset.answered and not is_profiled


def parent_of(state: State, message: Recorded) -> Parent | None:
    """The version that a request extends; raises `RefusedError` where there is none."""
    event = message.event
    assert isinstance(event, DatasetRequested)
    if event.extends is None:
        return None
    dataset = state.of(message)
    digest = dataset.latest if event.extends == LATEST else event.extends
    if digest is None or digest not in dataset.versions:
        raise RefusedError(
            f"dataset {event.dataset} has no version {event.extends!r}",
            field="extends",
            fix="leave `extends` out for the first version, or name one that is registered",
        )
    return Parent(digest, dataset.versions[digest].manifest)


def check_request(event: DatasetRequested) -> None:
    """Refuse paths that no version may hold, before anything is read."""
    seen: set[str] = set()
    for number, file in enumerate(event.files):
        try:
            check_path(file.path)
            table_of(file.path)
        except InvalidManifestError as error:
            raise RefusedError(
                str(error), field=f"files.{number}.path", fix="give the file another path"
            ) from error
        if file.path in seen:
            raise RefusedError(
                f"the path {file.path!r} is asked for twice",
                field=f"files.{number}.path",
                fix="give each file a path of its own",
            )
        seen.add(file.path)


def merge(kept: Sequence[FolderEntry], taken: Sequence[FolderEntry]) -> list[FolderEntry]:
    """The files of the new version: a file taken in stands before a kept one of its path.

    Raises `RefusedError` where the files cannot stand beside each other.
    """
    files = {entry.path: entry for entry in (*kept, *taken)}
    try:
        check_files(
            tuple(
                FileEntry(path=entry.path, size_bytes=entry.size_bytes, digest=entry.digest)
                for entry in sorted(files.values())
            )
        )
    except InvalidManifestError as error:
        raise RefusedError(
            str(error), field="files", fix="rename the file, or do not extend that version"
        ) from error
    return sorted(files.values())


def decide_registered(
    state: State,
    message: Recorded,
    parent: Parent | None,
    manifest: ObjectRef,
    files: int,
) -> list[Event]:
    """Register what was taken in, unless it was answered or the version is there already.

    Raises `Retry` where `latest` has moved on since the files were merged with it.
    """
    if not is_request_open(state, message):
        return []
    if parent_of(state, message) != parent:
        raise Retry(OVERTAKEN_RETRY_SECONDS, "a newer version was registered meanwhile")
    known = state.of(message).versions.get(manifest.digest)
    if known is not None and not known.broken:
        return []
    return [
        DatasetRegistered(
            dataset=message.event.id,
            dataset_version=manifest.digest,
            manifest=manifest,
            files=files,
            size_bytes=manifest.size_bytes,
            parent=parent.digest if parent else None,
        )
    ]


def decide_profiled(state: State, message: Recorded, profiled: DatasetProfiled) -> list[Event]:
    """Say what the version holds, once for each profiler."""
    return [profiled] if is_version_open(state, message, profiled.profiler) else []


def decide_refused(state: State, message: Recorded, refused: RefusedError) -> list[Event]:
    """Refuse a request or a version, once."""
    if message.id in state.of(message).answered:
        return []
    event = message.event
    version = event.dataset_version if isinstance(event, DatasetRegistered) else None
    return [
        DatasetRejected(
            dataset=event.id,
            dataset_version=version,
            request=message.id,
            reason=str(refused)[:REASON_LENGTH_MAX],
            field=refused.field,
            fix=refused.fix,
        )
    ]
