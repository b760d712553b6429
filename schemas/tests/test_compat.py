"""A released version only grows: each planted break is found and named, each growth passes."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from penstock_schemas.compat import breaks, compare_catalogues, explain, main

CATALOG = Path(__file__).parents[1] / "catalog"
FILES = sorted(path.relative_to(CATALOG).as_posix() for path in CATALOG.glob("*/v*.json"))
Schema = dict[str, Any]
Change = Callable[[Schema], object]


def released(type: str) -> Schema:
    return json.loads((CATALOG / type / "v1.json").read_text())  # type: ignore[no-any-return]


def props(schema: Schema, part: str | None = None) -> Schema:
    return (schema["$defs"][part] if part else schema)["properties"]  # type: ignore[no-any-return]


EXPERIMENT, JOB, PROFILE = "experiment.requested", "job.requested", "dataset.profiled"

BREAKING: dict[str, tuple[str, Change, str, str]] = {
    "a removed field": (JOB, lambda s: props(s).pop("queue"), "$.queue", "removed"),
    "a removed field of a part": (
        *(JOB, lambda s: props(s, "ObjectRef").pop("kind"), "$.program.source.kind", "removed"),
    ),
    "a removed field of a part in a list": (
        *(PROFILE, lambda s: props(s, "ColumnProfile").pop("nulls")),
        *("$.tables[].columns[].nulls", "removed"),
    ),
    "a removed field of a union's branch": (
        EXPERIMENT,
        lambda s: props(s, "Int").pop("step"),
        "$.space.*.step",
        "removed",
    ),
    "a renamed field": (
        JOB,
        lambda s: props(s).update(lane=props(s).pop("queue")),
        "$.queue",
        "removed",
    ),
    "a retyped field": (
        JOB,
        lambda s: props(s)["queue"].update(type="integer"),
        "$.queue",
        "string to integer",
    ),
    "an integer that became a number": (
        *(JOB, lambda s: props(s)["max_attempts"].update(type="number")),
        *("$.max_attempts", "integer to number"),
    ),
    "a list that became a map": (
        *(PROFILE, lambda s: props(s)["tables"].update(type="object")),
        *("$.tables", "array to object"),
    ),
    "retyped values of a map": (
        *(
            "features.materialized",
            lambda s: props(s)["columns"].update(additionalProperties={"type": "integer"}),
        ),
        *("$.columns.*", "string to integer"),
    ),
    "retyped items of a list": (
        *("job.placed", lambda s: props(s)["gpus"].update(items={"type": "string"})),
        *("$.gpus[]", "integer to string"),
    ),
    "free JSON that became text": (
        *("webhook.received", lambda s: s["$defs"].update(JsonValue={"type": "string"})),
        *("$.data", "any value"),
    ),
    "a newly required field": (JOB, lambda s: s["required"].append("queue"), "$.queue", "required"),
    "a new field that is required": (
        *(JOB, lambda s: (props(s).update(team={"type": "string"}), s["required"].append("team"))),
        *("$.team", "required"),
    ),
    "a newly required field of a part": (
        *(JOB, lambda s: s["$defs"]["Resources"].update(required=["gpu"])),
        *("$.resources.gpu", "required"),
    ),
    "a removed value of an enumeration": (
        *(EXPERIMENT, lambda s: props(s)["sampler"]["enum"].remove("random")),
        *("$.sampler", 'no longer accepts "random"'),
    ),
    "an enumeration that became a constant": (
        *(
            EXPERIMENT,
            lambda s: (
                props(s, "Objective")["goal"].pop("enum"),
                props(s, "Objective")["goal"].update(const="maximize"),
            ),
        ),
        *("$.objective.goal", 'no longer accepts "minimize"'),
    ),
    "text that became an enumeration": (
        JOB,
        lambda s: props(s)["queue"].update(enum=["default"]),
        "$.queue",
        "accepts only",
    ),
    "an enumeration that became text too short for it": (
        *(
            EXPERIMENT,
            lambda s: (props(s)["sampler"].pop("enum"), props(s)["sampler"].update(maxLength=3)),
        ),
        *("$.sampler", '"random"'),
    ),
    "another constant": (
        *(EXPERIMENT, lambda s: props(s, "Float")["kind"].update(const="real")),
        *("$.space.*.kind", 'no longer accepts "float"'),
    ),
    "a raised minimum": (
        JOB,
        lambda s: props(s)["max_attempts"].update(minimum=2),
        "$.max_attempts",
        "minimum",
    ),
    "a lowered maximum": (
        JOB,
        lambda s: props(s)["max_attempts"].update(maximum=99),
        "$.max_attempts",
        "maximum",
    ),
    "a new maximum": (
        *("trial.started", lambda s: props(s)["number"].update(maximum=10)),
        *("$.number", "maximum 10 is new"),
    ),
    "a bound that became exclusive": (
        *(
            "rollout.advanced",
            lambda s: (
                props(s)["weight_percent"].pop("minimum"),
                props(s)["weight_percent"].update(exclusiveMinimum=0),
            ),
        ),
        *("$.weight_percent", "exclude 0"),
    ),
    "shorter text": (
        JOB,
        lambda s: props(s)["queue"].update(maxLength=20),
        "$.queue",
        "maxLength",
    ),
    "text that may not be empty": (
        *("job.rejected", lambda s: props(s)["fix"].update(minLength=1)),
        *("$.fix", "minLength 1 is new"),
    ),
    "a shorter list": (
        *(JOB, lambda s: props(s, "Program")["command"].update(maxItems=8)),
        *("$.program.command", "maxItems"),
    ),
    "a smaller map": (
        EXPERIMENT,
        lambda s: props(s)["space"].update(maxProperties=9),
        "$.space",
        "maxProperties",
    ),
    "another pattern": (
        JOB,
        lambda s: props(s)["job"].update(pattern="^j-[a-z]+$"),
        "$.job",
        "pattern",
    ),
    "a new pattern": (
        PROFILE,
        lambda s: props(s)["profiler"].update(pattern="^[0-9]+$"),
        "$.profiler",
        "pattern",
    ),
    "a new format": (
        PROFILE,
        lambda s: props(s)["profiler"].update(format="uuid"),
        "$.profiler",
        "format",
    ),
    "shorter keys of a map": (
        *(JOB, lambda s: props(s)["params"]["propertyNames"].update(maxLength=8)),
        *("$.params.(key)", "maxLength"),
    ),
    "keys of a map with another pattern": (
        *(
            JOB,
            lambda s: props(s)["inputs"].update(
                patternProperties={"^x": props(s)["inputs"]["patternProperties"].popitem()[1]}
            ),
        ),
        *("$.inputs.*.(key)".replace(".*", ""), "pattern"),
    ),
    "a removed branch of a discriminated union": (
        *(EXPERIMENT, lambda s: props(s)["space"]["additionalProperties"]["oneOf"].pop()),
        *("$.space.*", "no longer accepts Categorical"),
    ),
    "a removed branch of a union": (
        *(PROFILE, lambda s: props(s, "ColumnProfile")["minimum"]["anyOf"].pop(1)),
        *("$.tables[].columns[].minimum", "no longer accepts string"),
    ),
    "a field that may no longer be null": (
        *(
            "job.cancelled",
            lambda s: props(s)["attempt"].update(anyOf=props(s)["attempt"]["anyOf"][:1]),
        ),
        *("$.attempt", "no longer accepts null"),
    ),
    "a retyped field that may be null": (
        *("job.cancelled", lambda s: props(s)["attempt"]["anyOf"][0].update(type="string")),
        *("$.attempt", "no longer accepts integer"),
    ),
    "a narrowed branch": (
        *("job.cancelled", lambda s: props(s)["attempt"]["anyOf"][0].update(minimum=2)),
        *("$.attempt", "minimum"),
    ),
    "another default": (
        JOB,
        lambda s: props(s)["queue"].update(default="main"),
        "$.queue",
        "default changed",
    ),
    "another default inside a part's default": (
        *(JOB, lambda s: props(s)["resources"]["default"].update(cpu=2.0)),
        *("$.resources", "default changed"),
    ),
    "a lost default": (
        JOB,
        lambda s: props(s)["queue"].pop("default"),
        "$.queue",
        '"default" to nothing',
    ),
    "another key": (JOB, lambda s: s.update({"x-penstock-key": "queue"}), "$", "aggregate"),
    "a keyword that cannot be compared": (
        *(JOB, lambda s: props(s)["queue"].update({"not": {"const": "x"}})),
        *("$.queue", "keyword 'not'"),
    ),
}

ADDITIVE: dict[str, tuple[str, Change]] = {
    "nothing": (JOB, lambda s: s),
    "a new optional field": (JOB, lambda s: props(s).update(team={"type": "string"})),
    "a new optional field of a part": (
        JOB,
        lambda s: (
            props(s, "Resources").update(tpu={"type": "integer", "default": 0}),
            props(s)["resources"]["default"].update(tpu=0),
        ),
    ),
    "a field no longer required": (
        *(JOB, lambda s: (s["required"].remove("program"), props(s)["program"].update(default=1))),
    ),
    "a lower minimum": (JOB, lambda s: props(s)["max_attempts"].update(minimum=0)),
    "a higher maximum": (JOB, lambda s: props(s)["max_attempts"].update(maximum=1000)),
    "a dropped maximum": (JOB, lambda s: props(s)["max_attempts"].pop("maximum")),
    "an exclusive bound that became inclusive": (
        JOB,
        lambda s: props(s, "Resources")["cpu"].update(
            minimum=props(s, "Resources")["cpu"].pop("exclusiveMinimum")
        ),
    ),
    "longer text": (JOB, lambda s: props(s)["queue"].update(maxLength=100)),
    "a dropped pattern": (JOB, lambda s: props(s)["queue"].pop("pattern")),
    "a dropped format": ("job.preempted", lambda s: props(s)["deadline"].pop("format")),
    "a new value of an enumeration": (
        EXPERIMENT,
        lambda s: props(s)["sampler"]["enum"].append("cmaes"),
    ),
    "a constant that became an enumeration": (
        EXPERIMENT,
        lambda s: props(s, "Int")["kind"].update(
            enum=["int", props(s, "Int")["kind"].pop("const")]
        ),
    ),
    "an enumeration that became text": (EXPERIMENT, lambda s: props(s)["sampler"].pop("enum")),
    "a new branch of a discriminated union": (
        EXPERIMENT,
        lambda s: (
            s["$defs"].update(Fixed={"title": "Fixed", "type": "object"}),
            props(s)["space"]["additionalProperties"]["oneOf"].insert(0, {"$ref": "#/$defs/Fixed"}),
        ),
    ),
    "a field that may be null": (
        "job.queued",
        lambda s: props(s).update(attempt={"anyOf": [{"type": "null"}, props(s)["attempt"]]}),
    ),
    "text that became free JSON": (PROFILE, lambda s: props(s).update(profiler={})),
    "a map that takes longer keys": (
        JOB,
        lambda s: props(s)["params"]["propertyNames"].update(maxLength=256),
    ),
    "an object that opened": (JOB, lambda s: s.update(additionalProperties=True)),
    "another description and example": (
        JOB,
        lambda s: (s.update(description="x", examples=[]), props(s)["job"].pop("description")),
    ),
    "a renamed part": (
        JOB,
        lambda s: (
            s["$defs"].update(Sizes=s["$defs"].pop("Resources")),
            props(s)["resources"].update({"$ref": "#/$defs/Sizes"}),
        ),
    ),
    "another owner": (JOB, lambda s: s.update({"x-penstock-owner": "gateway"})),
}


def changed(type: str, change: Change) -> tuple[Schema, Schema]:
    old = released(type)
    new = copy.deepcopy(old)
    change(new)
    return old, new


@pytest.mark.parametrize(("type", "change", "path", "word"), BREAKING.values(), ids=BREAKING.keys())
def test_a_break_is_found_at_its_path(type: str, change: Change, path: str, word: str) -> None:
    old, new = changed(type, change)
    assert old != new
    found = breaks(old, new)
    assert [one.path for one in found if word in one.problem][:1] == [path], found


@pytest.mark.parametrize(("type", "change"), ADDITIVE.values(), ids=ADDITIVE.keys())
def test_growth_passes(type: str, change: Change) -> None:
    assert breaks(*changed(type, change)) == []


@pytest.mark.parametrize("file", FILES)
def test_a_schema_accepts_itself(file: str) -> None:
    schema = json.loads((CATALOG / file).read_text())
    assert breaks(schema, copy.deepcopy(schema)) == []


def narrowings(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every single narrowing of a document: at each place, each kind that applies."""

    def planted(places: list[str | int], change: Change) -> Schema:
        new = copy.deepcopy(schema)
        node: Any = new
        for step in places:
            node = node[step]
        change(node)
        return new

    def visit(node: Any, places: list[str | int]) -> Iterator[tuple[str, Schema]]:
        if not isinstance(node, dict):
            return
        at = "/".join(str(place) for place in places)
        for name in node.get("properties", {}):
            yield f"{at} without {name}", planted(places, lambda n, k=name: n["properties"].pop(k))
            if name not in node.get("required", ()):
                yield (
                    f"{at} requires {name}",
                    planted(places, lambda n, k=name: n.setdefault("required", []).append(k)),
                )
        if isinstance(node.get("type"), str):
            yield f"{at} retyped", planted(places, lambda n: n.update(type="other"))
        for word in node.keys() & {"minimum", "exclusiveMinimum", "minLength", "minItems"}:
            yield f"{at} {word}", planted(places, lambda n, w=word: n.update({w: n[w] + 1}))
        for word in node.keys() & {"maximum", "exclusiveMaximum", "maxLength", "maxItems"}:
            yield f"{at} {word}", planted(places, lambda n, w=word: n.update({w: n[w] - 1}))
        for index in range(len(node.get("enum", ()))):
            yield f"{at} enum", planted(places, lambda n, i=index: n["enum"].pop(i))
        for word in ("anyOf", "oneOf"):
            for index in range(len(node.get(word, ()))):
                yield (
                    f"{at} {word} {index}",
                    planted(places, lambda n, w=word, i=index: n[w].pop(i)),
                )
                yield from visit(node[word][index], [*places, word, index])
        for word in ("items", "additionalProperties", "propertyNames"):
            yield from visit(node.get(word), [*places, word])
        for word in ("properties", "patternProperties", "$defs"):
            for name, inner in node.get(word, {}).items():
                yield from visit(inner, [*places, word, name])

    yield from visit(schema, [])


@pytest.mark.parametrize("file", FILES)
def test_every_single_narrowing_of_a_released_schema_is_found(file: str) -> None:
    schema = json.loads((CATALOG / file).read_text())
    planted = list(narrowings(schema))
    assert len(planted) >= 5
    assert [name for name, new in planted if not breaks(schema, new)] == []


def test_a_schema_that_contains_itself_is_compared_to_the_end() -> None:
    class Tree(BaseModel):
        """Named as before, with leaves of another type."""

        leaf: int = 0
        branches: list["Tree"] = []

    old = Tree.model_json_schema()
    new = json.loads(json.dumps(old).replace("integer", "string"))
    assert breaks(old, copy.deepcopy(old)) == []
    assert [one.problem for one in breaks(old, new)] == ["the type changed from integer to string"]


def test_the_message_names_the_contract_the_path_and_the_way_out() -> None:
    old, new = changed(JOB, lambda s: props(s).pop("queue"))
    line = explain(JOB, 1, breaks(old, new)[0])
    assert line.startswith("job.requested version 1: $.queue: the field was removed.")
    assert "version 2" in line
    assert "upcaster from 1" in line


def test_the_command_compares_two_catalogues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, new = tmp_path / "base", tmp_path / "new"
    for folder in (base, new):
        for type in (JOB, "node.lost"):
            (folder / type).mkdir(parents=True)
            (folder / type / "v1.json").write_bytes((CATALOG / type / "v1.json").read_bytes())
    assert main([str(base), str(new)]) == 0
    assert capsys.readouterr().err == ""
    (new / "node.lost" / "v1.json").unlink()
    (new / JOB / "v1.json").write_text(json.dumps(changed(JOB, BREAKING["a removed field"][1])[1]))
    (new / JOB / "v2.json").write_text("{}")
    assert main([str(base), str(new)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == compare_catalogues(base, new)
    assert [line.split(":")[0] for line in lines] == [
        "job.requested version 1",
        "node.lost version 1 was released and is gone",
    ]


def test_a_folder_without_a_catalogue_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), str(CATALOG)])
