"""YAML to plain values that remember the line of each: YAML 1.2's core schema, bounded.

What YAML 1.1 makes of `on`, `yes`, `1:30` and dates stays text. Nothing is built but JSON's own
kinds of value. A file cannot grow: anchors are followed, and every value that they stand for
counts. Every problem of a document is found in one go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

FILE_BYTES_MAX = 2**20
DOCUMENTS_MAX = 1000
NODES_MAX = 50_000
"""Values of one file, those that anchors repeat included."""
DEPTH_MAX = 60
WHOLE_MAX = 2**53
"""Up to here a number without a fraction is written as a person would: 8, not 8.0."""

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
)


class Problem(NamedTuple):
    """What is wrong at a line (from 1)."""

    line: int
    path: Path
    problem: str
    hint: str = ""


@dataclass
class Located:
    """A document's value, the line of every part of it by its path, and what is wrong in it."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of a part, or of the nearest part around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"deeper than {DEPTH_MAX}", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(text: str) -> Iterator[Located]:
    """The documents of a text; one that is not YAML has a problem, and is the last."""
    if len(text.encode()) > FILE_BYTES_MAX:
        problem = f"the file is larger than {FILE_BYTES_MAX} bytes"
        yield Located(problems=[Problem(1, (), problem, "split it into several files")])
        return
    budget = [NODES_MAX]
    try:
        loader = _Loader(text)
        count = 0
        while loader.check_node():
            node = loader.get_node()
            count += 1
            if count > DOCUMENTS_MAX:
                yield Located(
                    problems=[Problem(_line(node), (), f"over {DOCUMENTS_MAX} documents")]
                )
                return
            located = Located()
            located.value = _value(node, (), located, budget)
            if located.value is not None or located.problems:
                yield located
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, (error.context, error.problem)))
        yield Located(problems=[Problem(mark.line + 1 if mark else 1, (), f"no YAML: {said}")])
    except (yaml.YAMLError, RecursionError) as error:
        said = str(error).splitlines()[0]
        yield Located(problems=[Problem(1, (), f"no YAML: {said}")])


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _value(node: Any, path: Path, into: Located, budget: list[int]) -> Any:
    into.lines.setdefault(path, _line(node))
    budget[0] -= 1
    if budget[0] < 0 or len(path) > DEPTH_MAX:
        limit = f"more than {NODES_MAX} values" if budget[0] < 0 else f"deeper than {DEPTH_MAX}"
        if not any(limit in one.problem for one in into.problems):
            hint = "anchors count as often as they are used"
            into.problems.append(Problem(_line(node), path, limit, hint))
        return None
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, path, into)
    if node.tag not in (_TAG + "seq", _TAG + "map"):
        into.problems.append(Problem(_line(node), path, f"the tag {node.tag} is not possible here"))
        return None
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(one, (*path, place), into, budget)
            for place, one in enumerate(node.value)
            if budget[0] >= 0
        ]
    return _mapping(node, path, into, budget)


def _mapping(node: Any, path: Path, into: Located, budget: list[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in node.value:
        if budget[0] < 0:
            break
        name = key.value if isinstance(key, yaml.ScalarNode) else None
        if name is None or name in found:
            problem = "a name is text" if name is None else f"{name!r} is given twice"
            into.problems.append(Problem(_line(key), path, problem))
            continue
        into.lines[*path, name] = _line(key)
        found[name] = _value(one, (*path, name), into, budget)
    return found


def _scalar(node: Any, path: Path, into: Located) -> Any:
    tag, text = node.tag.removeprefix(_TAG), node.value
    if tag == "str":
        return text
    if tag == "null":
        return None
    problem = f"the tag {node.tag} is not possible here"
    if tag in _READ:
        try:
            return _READ[tag](text)
        except (ValueError, KeyError):
            problem = f"{text[:40]!r} is no {tag} that JSON has"
    into.problems.append(Problem(_line(node), path, problem))
    return None


def _whole(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_READ = {
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _whole,
    "float": _number,
}


_BREAKS = re.compile("[\x85\u2028\u2029]")
"""What YAML folds like a line's end, unless it is escaped."""


class _Dumper(yaml.SafeDumper):
    """Writes what `read_yaml` reads; a value that a reader of YAML 1.1 would take for something
    else is quoted, a name (`on:`) is not."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def represent_mapping(self, tag: Any, mapping: Any, flow_style: Any = None) -> Any:
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, _ in node.value:
            key.style = '"' if _BREAKS.search(key.value) else None
        return node

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _represent_text(dumper: _Dumper, text: str) -> Any:
    old = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    doubtful = any(pattern.match(text) for _, pattern in old)
    style = "|" if "\n" in text else "'" if doubtful else None
    if _BREAKS.search(text):
        style = '"'
    return dumper.represent_scalar(_TAG + "str", text, style)


def _represent_number(dumper: _Dumper, number: float) -> Any:
    if number.is_integer() and abs(number) < WHOLE_MAX:
        return dumper.represent_int(int(number))
    return dumper.represent_scalar(_TAG + "float", json.dumps(number))


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_number)


def write_yaml(document: Any) -> str:
    """A document as a person would write it."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))
