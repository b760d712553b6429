"""Documents that declare things: read with lines, every fault at once, and bounded."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.client import read_documents, read_files
from penstock.client.yaml_nodes import FILE_BYTES_MAX, read_yaml, write_yaml
from penstock_schemas import document_of, kinds

RETRAIN = """\
# yaml-language-server: $schema=../schemas/catalog/kinds/trigger.json
kind: trigger
name: retrain
on: features.materialized
do:
  type: queue.requested
  data: {queue: research, cpu_quota: 8}
"""


def faults(text: str) -> list[tuple[int, str]]:
    return [(one.line, one.field) for one in read_documents(text, "f.yaml")[1]]


def test_what_a_person_writes_is_read_as_meant() -> None:
    [trigger], wrong = read_documents(RETRAIN, "f.yaml")
    assert not wrong
    assert (trigger.kind, trigger.name, trigger.line) == ("trigger", "retrain", 2)
    assert trigger.event.model_dump()["on"] == "features.materialized"


def test_every_fault_is_said_at_once_with_its_line_and_field() -> None:
    text = (
        "kind: queue\nname: Big\ncpu_quot: 3\ngpu_quota: -1\n---\nkind: quue\nname: x\n---\n"
        + RETRAIN.replace("type: queue", "typ: queue")
        + "---\nkind: endpoint\nname: e\n---\n- a\n---\nname: x\n"
    )
    said = faults(text)
    assert {(2, "name"), (3, "cpu_quot"), (4, "gpu_quota"), (6, "kind")} <= set(said)
    assert (13, "do.type") in said or (14, "do.type") in said
    assert [field for _, field in said if field == "model"] == ["model"]
    hints = [one.hint for one in read_documents(text)[1]]
    assert "did you mean 'cpu_quota'?" in hints
    assert "did you mean 'queue'?" in hints


def test_a_fault_deep_inside_names_its_own_line() -> None:
    text = (
        "kind: experiment\nname: e\nprogram:\n  command: [a]\nspace:\n  rate:\n    kind: float\n"
        "    low: 0.1\n    high: much\nobjective:\n  metric: auc\n  gaol: maximize\nmax_trials: 3\n"
    )
    assert (9, "space.rate.high") in faults(text)


def test_what_is_valid_beside_a_fault_is_read() -> None:
    found, wrong = read_documents("kind: queue\nname: a\n---\nkind: queue\n---\n" + RETRAIN)
    assert [one.name for one in found] == ["a", "retrain"]
    assert [one.field for one in wrong] == ["name"]


def test_what_precedes_a_text_that_is_no_yaml_is_read() -> None:
    found, [fault] = read_documents("kind: queue\nname: a\n---\nkind: [\n", "f.yaml")
    assert [one.name for one in found] == ["a"]
    assert fault.line in (4, 5)
    assert str(fault).startswith("f.yaml:")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-11-24", "2026-11-24"),
        ("010", 10),
        ("0x10", 16),
        ("true", True),
        ("~", None),
        ("1e3", 1000.0),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    [read] = read_yaml(f"a: {text}")
    assert read.value == {"a": value}
    assert type(read.value["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{here}: &{here} [{','.join(['*' + before] * 9)}]\n"
            for before, here in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "a: &a [*a]",
        "[" * 100_000,
        "a:" + " {b: " * 200,
        "a: .nan",
        "a: 1\na: 2",
        "a: !!python/object/apply:os.system [x]",
        "a: !!binary aGk=",
        "? [a]\n: 1",
        "a: *nowhere",
        "\x00",
        "a" * (FILE_BYTES_MAX + 1),
    ],
)
def test_what_could_do_harm_is_refused_in_a_moment(text: str) -> None:
    began = time.process_time()
    assert any(one.problems for one in read_yaml(text))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("kind", kinds())
def test_the_document_of_every_kind_is_read_as_it_was_written(kind: str) -> None:
    cls = kinds()[kind]
    event = cls.model_validate(cls.example)
    [read], wrong = read_documents(write_yaml(document_of(event)))
    assert not wrong
    assert read.event == event


_WORDS = ["on", "no", "null", "~", "1", "1:30", "0x1", "2026-01-01", "", "- a", "a: b", "1.", ".5"]
_TEXT = st.text(max_size=20) | st.sampled_from(_WORDS)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(_JSON.filter(lambda value: value is not None))
@example({"\x85": None})
@example(["a\x85b", "\u2028", "x\n\x85"])
def test_whatever_is_written_is_read_back(value: Any) -> None:
    text = write_yaml({"a": value})
    [read] = read_yaml(text)
    assert not read.problems
    assert read.value == {"a": value}


def test_the_names_of_triggers_are_not_quoted() -> None:
    assert write_yaml({"on": "yes", "a": "x\ny"}) == "on: 'yes'\na: |-\n  x\n  y\n"


def test_folders_are_read_in_order_and_nothing_is_declared_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: queue\nname: a\n")
    (tmp_path / "b.yml").write_text("kind: queue\nname: b\n---\nkind: queue\nname: a\n")
    (tmp_path / "notes.txt").write_text("kind: nothing\n")
    found, [fault] = read_files([tmp_path])
    assert [one.name for one in found] == ["a", "b", "a"]
    assert (Path(fault.file).name, fault.line) == ("b.yml", 4)
    assert "a.yaml:1" in fault.problem


def test_a_file_to_upload_must_be_there(tmp_path: Path) -> None:
    text = "kind: experiment\nname: e\nprogram:\n  command: [a]\n  source: {upload: train.py}\n"
    rest = "space:\n  r: {kind: float, low: 0.1, high: 1}\nobjective: {metric: a}\nmax_trials: 1\n"
    _, [fault] = read_documents(text + rest, "f", tmp_path)
    assert (fault.line, fault.field) == (5, "program.source.upload")
    (tmp_path / "train.py").write_text("")
    [read], wrong = read_documents(text + rest, "f", tmp_path)
    assert not wrong
    assert [(one.path, one.as_folder) for one in read.uploads] == [(("program", "source"), True)]
