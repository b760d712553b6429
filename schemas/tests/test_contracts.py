"""Every contract: its name, its owner, its key, its example, and what its fields mean."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from penstock_schemas import ANYONE, Event, Value, decode, event_types
from penstock_schemas.catalog.json_schema import event_schema
from penstock_schemas.names import NAME_LENGTH_MAX, NAME_PATTERN

TYPES = event_types()
EVENTS = pytest.mark.parametrize("cls", TYPES.values(), ids=TYPES.keys())
SERVICES = {path.name for path in (Path(__file__).parents[2] / "services").iterdir()}
OUTSIDE_FACTS = {"dataset.registered", "features.pushed"}
IRREGULAR_FACTS = {"lost", "ready", "rolledback", "set"}
UNITS = {"seconds", "bytes", "percent", "days", "ms"}


@EVENTS
def test_a_type_is_a_noun_and_a_verb_and_the_class_is_named_for_it(cls: type[Event]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", cls.type)
    assert cls.__name__ == "".join(word.title() for word in re.split(r"[.-]", cls.type))


@EVENTS
def test_wishes_and_outside_facts_come_from_anyone_and_every_other_fact_from_its_service(
    cls: type[Event],
) -> None:
    verb = cls.type.split(".")[1]
    if verb == "requested" or verb.endswith("-requested"):
        assert cls.owner == ANYONE
        return
    assert verb.endswith("ed") or verb in IRREGULAR_FACTS
    assert cls.owner == ANYONE if cls.type in OUTSIDE_FACTS else cls.owner in SERVICES


@EVENTS
def test_a_fact_is_shared_with_other_services_alone_and_a_refusal_with_none(
    cls: type[Event],
) -> None:
    appenders = cls.appenders()
    assert appenders[0] == cls.owner
    assert len(set(appenders)) == len(appenders)
    assert set(cls.shared_with) <= SERVICES
    if cls.owner == ANYONE or cls.type.endswith(".rejected"):
        assert cls.shared_with == ()  # a wish is answered by one service


def test_the_end_of_a_cancelled_job_is_said_by_who_has_it() -> None:
    assert TYPES["job.cancelled"].appenders() == ("trainer", "scheduler")


@EVENTS
def test_a_wish_can_be_refused(cls: type[Event]) -> None:
    if cls.type.endswith(".requested"):
        answer = TYPES[f"{cls.noun()}.rejected"]
        assert {"request", "reason", "field", "fix"} <= answer.model_fields.keys()
        assert answer.key == cls.key


@EVENTS
def test_the_key_is_a_required_field_that_can_stand_in_a_subject(cls: type[Event]) -> None:
    schema = cls.model_json_schema()
    rule = schema["properties"][cls.key]
    assert cls.key in schema["required"]
    assert rule["pattern"] == NAME_PATTERN
    assert rule["maxLength"] <= NAME_LENGTH_MAX


@EVENTS
def test_no_field_hides_what_every_event_has(cls: type[Event]) -> None:
    assert not cls.model_fields.keys() & set(dir(Event))


@EVENTS
def test_the_example_is_complete_and_survives_the_bus(cls: type[Event]) -> None:
    event = decode(cls.type, cls.version, json.dumps(cls.example))
    assert type(event) is cls
    assert decode(cls.type, cls.version, event.payload()) == event
    # An unknown field of the example would be dropped silently: nothing may be missing.
    assert event.model_dump(mode="json", exclude_unset=True) == cls.example
    assert event.id == cls.example[cls.key]
    assert str(event.subject("vision")) == f"penstock.vision.{cls.type}.{event.id}"


@EVENTS
def test_every_field_says_what_it_is_and_every_number_its_unit(cls: type[Event]) -> None:
    assert list(undescribed(event_schema(cls))) == []


def test_the_check_for_units_finds_a_planted_number_without_one() -> None:
    class Part(Value):
        """A part."""

        lease_seconds: Annotated[float, Field(description="How long")]
        weights: dict[str, float]
        size: int | None = None
        flag: bool = False

    found = list(undescribed(Part.model_json_schema()))
    assert found == ["Part.weights", "Part.size", "Part.flag"]


def undescribed(schema: dict[str, Any]) -> Iterator[str]:
    """Fields without a meaning, of an event and of its parts.

    A field has one by a description of its own or, where it holds a part, that of the part. A
    number needs its own, unless the last word of its name is a unit; the description of a part
    that holds it does not count.
    """
    parts = schema.get("$defs", {})
    for model in (schema, *parts.values()):
        for name, rule in model.get("properties", {}).items():
            branches = [rule, *rule.get("anyOf", ())]
            own = any("description" in branch for branch in branches)
            number = any(holds_number(branch) for branch in branches)
            unit = name.rsplit("_", 1)[-1] in UNITS
            part = any(
                parts[branch["$ref"].removeprefix("#/$defs/")].get("description")
                for branch in branches
                if "$ref" in branch
            )
            if not (own or (unit if number else part)):
                yield f"{model['title']}.{name}"


def holds_number(rule: dict[str, Any]) -> bool:
    inner = [rule.get("items"), rule.get("additionalProperties"), *rule.get("anyOf", ())]
    return rule.get("type") in ("integer", "number") or any(
        holds_number(part) for part in inner if isinstance(part, dict)
    )
