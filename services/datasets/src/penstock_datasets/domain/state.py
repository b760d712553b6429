"""What the service knows: the versions of each dataset, and what has been answered."""

from dataclasses import dataclass, field

from penstock_chassis.message import Recorded
from penstock_schemas import DatasetProfiled, DatasetRegistered, DatasetRejected, ObjectRef

Key = tuple[str, str]
"""A namespace and the name of a dataset in it."""


@dataclass
class Version:
    """One version; `profilers` are those that have described it, `broken` means refused, and
    by none ever described."""

    manifest: ObjectRef
    profilers: frozenset[str] = frozenset()
    broken: bool = False


@dataclass
class Dataset:
    """One dataset: its versions by digest, oldest first, and the ids of messages answered."""

    versions: dict[str, Version] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)

    @property
    def latest(self) -> str | None:
        """The digest of the newest version that is not known to be broken."""
        sound = (digest for digest, version in self.versions.items() if not version.broken)
        return next(reversed(list(sound)), None)


@dataclass
class State:
    """All datasets of all namespaces."""

    datasets: dict[Key, Dataset] = field(default_factory=dict)

    def of(self, message: Recorded) -> Dataset:
        """The dataset that a message is about; an empty one where it is not known."""
        return self.datasets.get((message.namespace, message.event.id)) or Dataset()


def evolve(state: State, recorded: Recorded) -> State:
    """Fold one event."""
    event = recorded.event
    if not isinstance(event, DatasetRegistered | DatasetProfiled | DatasetRejected):
        return state
    dataset = state.datasets.setdefault((recorded.namespace, event.dataset), Dataset())
    match event:
        case DatasetRegistered():
            if recorded.causation_id is not None:
                dataset.answered.add(recorded.causation_id)
            known = dataset.versions.get(event.dataset_version)
            if event.manifest.digest != event.dataset_version or event.manifest.kind != "folder":
                pass  # will be refused; it must not hide a sound version
            elif known is None:
                dataset.versions[event.dataset_version] = Version(event.manifest)
            elif known.broken:
                known.manifest, known.broken = event.manifest, False
        case DatasetProfiled():
            version = dataset.versions.setdefault(event.dataset_version, Version(event.manifest))
            version.profilers |= {event.profiler}
            version.manifest, version.broken = event.manifest, False
        case DatasetRejected():
            dataset.answered.add(event.request)
            refused = dataset.versions.get(event.dataset_version or "")
            if refused is not None and not refused.profilers:
                refused.broken = True
    return state
