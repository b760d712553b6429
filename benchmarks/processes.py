"""What processes hold in memory, as Linux tells it (`/proc`)."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started, as far as they still run."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return


def mentioning(text: str) -> Iterator[int]:
    """Processes with `text` in their command line, such as those that detach on purpose."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and text.encode() in (folder / "cmdline").read_bytes():
                yield int(folder.name)
        except (FileNotFoundError, ProcessLookupError):
            continue


def memory_mb(pids: Iterable[int], what: str) -> float:
    """The sum of `Rss` or `Pss` of these processes, in MB. `Pss` counts a shared page once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))
    return total / 1e6
