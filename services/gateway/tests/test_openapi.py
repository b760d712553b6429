"""The API describes itself: whole, and truly of what is there."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from penstock_gateway.http.application import ROUTES
from penstock_gateway.http.describing import PARAMETERS, operation_of
from penstock_gateway.http.openapi import openapi, operations
from penstock_gateway.nouns import VIEWS
from penstock_schemas import ANYONE, event_types, kinds

DOCUMENT = openapi(ROUTES)
OPERATIONS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def validator(name: str) -> Draft202012Validator:
    schemas = DOCUMENT["components"]["schemas"]
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    )


async def test_it_is_served(api: Any) -> None:
    assert await api.get("/v1/openapi.json") == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1.")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.endpoint.__name__}")
def test_every_route_says_what_it_takes_and_answers(route: Any) -> None:
    described = operation_of(route.endpoint)
    assert described is not None, (
        f"decorate {route.endpoint.__module__}.{route.endpoint.__name__} with @describes(…) of "
        "penstock_gateway.http.describing"
    )
    assert route.endpoint.__doc__, "the docstring is the operation's summary"
    assert {*described.query, *described.headers} <= PARAMETERS.keys()


def test_every_route_is_in_the_document_and_nothing_else_is() -> None:
    made = {(path, method) for path, _, method, _ in operations(ROUTES)}
    assert made == {(path, method) for path, method, _ in OPERATIONS}
    templates = {
        (re.sub(r"{\w+}", "{}", route.path.replace("{noun}", noun)), method.lower())
        for route in ROUTES
        for noun in (VIEWS if "{noun}" in route.path else [""])
        for method in route.methods - {"HEAD"}
    }
    assert {(re.sub(r"{\w+}", "{}", path), method) for path, method in made} <= templates
    assert {route.endpoint for route in ROUTES} == {
        route.endpoint for _, _, _, route in operations(ROUTES)
    }


def test_every_operation_has_its_own_id_and_a_summary() -> None:
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for _, _, operation in OPERATIONS)


def test_every_reference_leads_to_a_schema_that_is_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    named: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                named.add(value["$ref"])
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(DOCUMENT)
    assert {ref.removeprefix("#/components/schemas/") for ref in named} <= schemas.keys()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_every_parameter_of_a_path_is_declared() -> None:
    for path, _, operation in OPERATIONS:
        declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), path


def test_every_noun_is_listed_shown_and_filtered_by_its_columns() -> None:
    for noun, view in VIEWS.items():
        listed = DOCUMENT["paths"][f"/v1/{{namespace}}/{noun}"]["get"]
        assert f"/v1/{{namespace}}/{noun}/{{id}}" in DOCUMENT["paths"]
        names = {one["name"] for one in listed["parameters"]}
        assert view.all_columns.keys() | {"limit", "cursor", "at"} <= names


def test_every_wish_and_every_kind_can_be_written_by_its_noun() -> None:
    for type, cls in event_types().items():
        if cls.owner == ANYONE and type == f"{cls.noun()}.requested":
            assert "post" in DOCUMENT["paths"][f"/v1/{{namespace}}/{cls.noun()}"]
    for kind in kinds():
        path = DOCUMENT["paths"][f"/v1/{{namespace}}/{kind}/{{id}}/declaration"]
        assert path.keys() == {"get", "put"}


def test_the_schemas_take_the_examples_of_the_contracts() -> None:
    for type, cls in event_types().items():
        if cls.owner == ANYONE:
            validator(type).validate(cls.example)
            validator("Publishable").validate({"type": type, "data": cls.example})
    with pytest.raises(Exception, match="not valid under any"):
        validator("Publishable").validate({"type": "job.placed", "data": {}})


async def test_the_schemas_take_what_is_answered(api: Any) -> None:
    for noun, view in VIEWS.items():
        await api.append(next(iter(view.rules)).type)
        page = await api.get(f"/v1/vision/{noun}")
        validator(f"{noun}.page").validate(page)
        assert page["items"], noun
        validator(noun).validate(await api.get(f"/v1/vision/{noun}/{page['items'][0]['id']}"))
    events = await api.get("/v1/-/event")
    validator("EventPage").validate(events)
    validator("EventTree").validate(await api.get("/v1/-/event/1/tree"))
    validator("Platform").validate(await api.get("/v1/platform"))
    refused = await api.client.get("/v1/vision/job/nothing")
    validator("Problem").validate(refused.json())
