"""Documents that declare things, from files to checked wishes. Pure but for reading files.

    kind: queue
    name: research
    cpu_quota: 8

Every problem of every document is found in one go, with its file, line and field.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.client.errors import Refused
from penstock.client.yaml_nodes import Located, Problem, read_yaml

if TYPE_CHECKING:
    from penstock_schemas import Event

SUFFIXES = (".yaml", ".yml", ".json")
UPLOAD = "upload"
FAULTS_SHOWN = 20
PLACEHOLDER = {"uri": "s3://upload/pending", "digest": "blake3:" + "0" * 64, "size_bytes": 0}
"""Stands for what is uploaded until it is."""
_FOLDERS = ("source", "repository")
"""Fields whose single file goes as a folder with that file alone, so that it keeps its name."""


class Fault(NamedTuple):
    """What is wrong with a document, where, and what to do."""

    file: str
    line: int
    field: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.field + ': ' if self.field else ''}{self.problem}{hint}"


class InvalidDocuments(Refused):
    """Documents that cannot be applied; nothing has changed. `faults` says all that is wrong."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        shown = [str(fault) for fault in self.faults[:FAULTS_SHOWN]]
        if len(self.faults) > FAULTS_SHOWN:
            shown.append(f"and {len(self.faults) - FAULTS_SHOWN} more")
        super().__init__("\n".join(shown))


class Upload(NamedTuple):
    """A file or folder that a field names, and where in the wish its reference goes."""

    path: tuple[str | int, ...]
    source: Path
    as_folder: bool


@dataclass(frozen=True)
class Declaration:
    """One thing as a document declares it."""

    event: Event
    namespace: str | None = None
    """Where the document itself says it."""
    file: str = ""
    line: int = 0
    uploads: tuple[Upload, ...] = ()

    @property
    def kind(self) -> str:
        """The noun."""
        return self.event.noun()

    @property
    def name(self) -> str:
        """The name."""
        return self.event.id


def declaration_of(event: Event) -> Declaration:
    """What an event declares."""
    from penstock_schemas import lives_in_itself  # noqa: PLC0415

    return Declaration(event, event.id if lives_in_itself(type(event)) else None)


def read_documents(
    text: str, file: str = "", folder: str | Path = "."
) -> tuple[list[Declaration], list[Fault]]:
    """The documents of a YAML (or JSON) text that are valid, and what is wrong with the others.

    `folder` is where the paths of uploads begin.
    """
    found: list[Declaration] = []
    faults: list[Fault] = []
    for located in read_yaml(text):
        declaration, problems = _checked(located, file, Path(folder))
        faults += [_fault(file, problem) for problem in problems]
        if declaration is not None:
            found.append(declaration)
    return found, faults


def read_files(paths: Iterable[str | Path]) -> tuple[list[Declaration], list[Fault]]:
    """The documents of files, and of the `.yaml`, `.yml` and `.json` files in folders, in order.

    The same thing declared twice is a fault.
    """
    found: list[Declaration] = []
    faults: list[Fault] = []
    for given in map(Path, paths):
        files = [given]
        if given.is_dir():
            files = sorted(one for one in given.rglob("*") if one.suffix in SUFFIXES)
            if not files:
                faults.append(Fault(str(given), 1, "", f"no file ends in {', '.join(SUFFIXES)}"))
        for one in files:
            try:
                text = one.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                faults.append(Fault(str(one), 1, "", f"cannot be read: {error}"))
                continue
            declarations, wrong = read_documents(text, str(one), one.parent)
            found += declarations
            faults += wrong
    return found, faults + twice(found)


def read_mapping(document: Mapping[str, Any]) -> Declaration:
    """A document that is a mapping already; raises `InvalidDocuments`."""
    declaration, problems = _checked(Located(dict(document)), "", Path())
    if declaration is None or problems:
        raise InvalidDocuments([_fault("", problem)._replace(line=0) for problem in problems])
    return declaration


def twice(declarations: Iterable[Declaration]) -> list[Fault]:
    """A fault for each thing that is declared more than once."""
    seen: dict[tuple[str | None, str, str], Declaration] = {}
    faults = []
    for one in declarations:
        first = seen.setdefault((one.namespace, one.kind, one.name), one)
        if first is not one:
            where = f"{first.file}:{first.line}" if first.file else "before"
            problem = f"{one.kind} {one.name!r} is declared at {where} already"
            faults.append(Fault(one.file, one.line, "name", problem))
    return faults


def _fault(file: str, problem: Problem) -> Fault:
    field = ".".join(map(str, problem.path))
    return Fault(file, problem.line, field, problem.problem, problem.hint)


def _checked(located: Located, file: str, folder: Path) -> tuple[Declaration | None, list[Problem]]:
    """A document as a declaration, or what is wrong with it."""
    if located.problems:
        return None, located.problems
    document = located.value
    if not isinstance(document, dict):
        hint = "begin with `kind: queue` and `name: …`"
        return None, [Problem(located.line_of(()), (), "a document is a mapping", hint)]
    from penstock_schemas import (  # noqa: PLC0415
        UnknownKind,
        is_name,
        kind_class,
        kinds,
        lives_in_itself,
    )

    kind = document.get("kind")
    try:
        cls = kind_class(str(kind))
    except UnknownKind:
        problem = "is needed" if kind is None else f"there is no kind {kind!r}"
        return None, [Problem(located.line_of(("kind",)), ("kind",), problem, _near(kind, kinds()))]
    problems: list[Problem] = []
    namespace = document.get("namespace")
    if namespace is not None and (not isinstance(namespace, str) or not is_name(namespace)):
        at = located.line_of(("namespace",))
        problems.append(Problem(at, ("namespace",), f"{namespace!r} is no namespace"))
    elif lives_in_itself(cls):
        if namespace not in (None, document.get("name")):
            at = located.line_of(("namespace",))
            fault = f"a {kind} lives in itself"
            problems.append(Problem(at, ("namespace",), fault, "leave it out"))
        namespace = document.get("name")
    uploads: list[Upload] = []
    document = _with_placeholders(document, (), folder, located, uploads, problems)
    event, wrong = _event(cls, document, located)
    problems += wrong
    if event is None or problems:
        return None, problems
    line = located.line_of(())
    return Declaration(event, namespace, file, line, tuple(uploads)), []


def _event(
    cls: type[Event], document: Mapping[str, Any], located: Located
) -> tuple[Event | None, list[Problem]]:
    from pydantic import ValidationError  # noqa: PLC0415

    from penstock_schemas import payload_of, unknown_fields  # noqa: PLC0415

    payload = payload_of(document)
    if payload[cls.key] is None:
        payload.pop(cls.key)
    problems = [
        Problem(located.line_of((name,)), (name,), f"{cls.noun()} has no such field", hint)
        for name in payload
        if name not in cls.model_fields
        for hint in [_near(name, [one for one in cls.model_fields if one != cls.key])]
    ]
    try:
        event = cls.model_validate_json(json.dumps(payload))
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            path = _path_of(one["loc"], payload)
            if path[:1] == (cls.key,):
                path = ("name", *path[1:])
            problems.append(Problem(located.line_of(path), path, one["msg"]))
        return None, problems
    for path, names in unknown_fields(event, payload):
        if len(path) > 1:
            hint = _near(path[-1], names)
            problems.append(Problem(located.line_of(path), path, "there is no such field", hint))
    return event, problems


def _path_of(loc: Sequence[str | int], payload: Any) -> tuple[str | int, ...]:
    """Where an error of pydantic's is, without the names of a union's branches."""
    path: tuple[str | int, ...] = ()
    for place, word in enumerate(loc):
        inside = range(len(payload)) if isinstance(payload, list) else payload
        if isinstance(inside, dict | range) and word in inside:
            payload = payload[word]
        elif place < len(loc) - 1 or not isinstance(payload, dict):
            continue
        path = (*path, word)
    return path


def _near(name: Any, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(str(name), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(known)}"


def _with_placeholders(
    value: Any,
    path: tuple[str | int, ...],
    folder: Path,
    located: Located,
    uploads: list[Upload],
    problems: list[Problem],
) -> Any:
    """The value with a placeholder wherever `{upload: PATH}` stands."""
    again = (folder, located, uploads, problems)
    if isinstance(value, list):
        return [_with_placeholders(one, (*path, i), *again) for i, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if value.keys() != {UPLOAD} or not path:
        return {name: _with_placeholders(one, (*path, name), *again) for name, one in value.items()}
    source = folder / str(value[UPLOAD])
    if not source.exists():
        at = (*path, UPLOAD)
        problems.append(Problem(located.line_of(at), at, f"there is nothing at {source}"))
    as_folder = source.is_dir() or path[-1] in _FOLDERS
    uploads.append(Upload(path, source, as_folder))
    return {**PLACEHOLDER, "kind": "folder" if as_folder else "file"}
