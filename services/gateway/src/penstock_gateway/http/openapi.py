"""The API's own description: OpenAPI 3.1, made of the routes, the views and the event schemas.

Nothing here lists operations: a route says what it does where it is (`describing`), a noun's
columns are its view's, and what may be published is what the contracts say. A route with `{noun}`
becomes one path for each noun, so that every noun has its own schemas. Made once, when it is
first asked for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from inspect import getdoc
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from penstock_gateway.domain.read_model import ALL
from penstock_gateway.http.answers import dump, json_bytes
from penstock_gateway.http.components import components, noun_components, wish_of
from penstock_gateway.http.describing import (
    ASKED,
    DECLARED,
    PARAMETERS,
    RESPONSE_HEADERS,
    Answer,
    Operation,
    Schema,
    describes,
    operation_of,
)
from penstock_gateway.http.problems import MEDIA_TYPE, TITLES
from penstock_gateway.nouns import VIEWS
from penstock_schemas import NAME_LENGTH_MAX, NAME_PATTERN, kinds

EVERYWHERE = (403, 500, 503)
"""Refusals that every operation may give: the guard of hosts, a defect, a restart."""
_NAME: Schema = {"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_LENGTH_MAX}
_PATH_PARAMETERS: Mapping[str, tuple[str, Schema]] = {
    "namespace": ("The team's namespace", _NAME),
    "id": ("A name or id", _NAME),
    "event": ("An event's id, or its sequence", {"type": "string"}),
    "position": ("Its position in the list", {"type": "integer", "minimum": 1}),
    "source": ("The sender", _NAME),
}
_ANY_NAMESPACE: Schema = {"anyOf": [_NAME, {"const": ALL}]}
_NAMED = re.compile(r"{(\w+)}")


@describes(Answer("This document", {"type": "object"}))
async def show_openapi(request: Request) -> Response:
    """This API as an OpenAPI 3.1 document."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = dump(openapi(state.routes))
    return json_bytes(state.openapi)


def openapi(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The document of an application with these routes."""
    paths: dict[str, Any] = {}
    for path, noun, method, route in operations(routes):
        paths.setdefault(path, {})[method] = _operation(route, path, noun, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": version("penstock-gateway"),
            "description": (
                "The API of Penstock. Reads are views of one log of events; writes append to it "
                "and are durable when they are answered. Refusals are problem details (RFC 9457) "
                "that name the field and the fix."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components() | noun_components()},
    }


def operations(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str, str, Route]]:
    """Every operation: its path, its noun (empty: no noun's own), its method, its route."""
    for route in routes:
        assert isinstance(route, Route), "the API has plain routes alone"
        described = operation_of(route.endpoint)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if "{noun}" not in route.path:
                yield route.path, _noun_in(route.path), method.lower(), route
                continue
            for noun in nouns_of(described.nouns if described else ""):
                yield route.path.replace("{noun}", noun), noun, method.lower(), route


def nouns_of(which: str) -> Sequence[str]:
    """The nouns that a route with `{noun}` is there for."""
    if which == ASKED:
        return [noun for noun in VIEWS if wish_of(noun) is not None]
    if which == DECLARED:
        return [noun for noun in VIEWS if noun in kinds() and wish_of(noun) is not None]
    return list(VIEWS)


def _noun_in(path: str) -> str:
    parts = path.split("/")
    return parts[3] if len(parts) > 3 and parts[2].startswith("{") else ""


def _operation(route: Route, path: str, noun: str, method: str) -> dict[str, Any]:
    described = operation_of(route.endpoint)
    if described is None:  # a test says so; what it may answer is not known
        described = Operation({200: Answer("Not described")})
    summary, _, more = (getdoc(route.endpoint) or "").partition("\n\n")
    document: dict[str, Any] = {
        "operationId": _operation_id(route, noun, method),
        "summary": " ".join(summary.split()),
        "tags": [noun or "platform"],
        "parameters": list(_parameters(described, path, noun, method)),
        "responses": _responses(described, noun),
    }
    if more:
        document["description"] = more
    if described.body is not None:
        content = _content(described.body, noun)
        document["requestBody"] = {"required": True, "content": content}
    return document


def _operation_id(route: Route, noun: str, method: str) -> str:
    name = route.endpoint.__name__
    return f"{noun}.{name}" if noun else f"{name}" if method == "get" else f"{method}.{name}"


def _parameters(
    described: Operation, path: str, noun: str, method: str
) -> Iterator[dict[str, Any]]:
    for name in _NAMED.findall(path):
        meaning, schema = _PATH_PARAMETERS.get(name, (f"The {name}", {"type": "string"}))
        if name == "namespace" and method == "get" and described.all_namespaces:
            meaning, schema = f"{meaning}; `{ALL}` reads all of them", _ANY_NAMESPACE
        yield _parameter(name, "path", meaning, schema, required=True)
    for place, names in (("query", described.query), ("header", described.headers)):
        for name in names:
            one = PARAMETERS[name]
            yield _parameter(name, place, one.description, one.schema)
    for column, meaning in VIEWS[noun].all_columns.items() if described.columns else ():
        if column not in described.query:
            text = f"Only those with this value: {meaning[:1].lower()}{meaning[1:]}"
            yield _parameter(column, "query", text, {"type": "string"})


def _parameter(
    name: str, place: str, meaning: str, schema: Schema, required: bool = False
) -> dict[str, Any]:
    found = {"name": name, "in": place, "description": meaning, "schema": schema}
    return {**found, "required": True} if required else found


def _responses(described: Operation, noun: str) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status): _answer(answer, noun) for status, answer in described.answers.items()
    }
    for status in sorted({*described.problems, *EVERYWHERE}):
        problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
        stands = answers.get(str(status))
        if stands is None:
            stands = answers[str(status)] = {"description": TITLES[status], "content": {}}
        stands["content"][MEDIA_TYPE] = problem
    return answers


def _answer(answer: Answer, noun: str) -> dict[str, Any]:
    headers = {
        name: {"description": RESPONSE_HEADERS[name], "schema": {"type": "string"}}
        for name in answer.headers
    }
    made: dict[str, Any] = {"description": answer.description}
    if headers:
        made["headers"] = headers
    if answer.media_type is not None:
        made["content"] = _content(answer, noun)
    return made


def _content(answer: Answer, noun: str) -> dict[str, Any]:
    schema = answer.schema if answer.schema is not None else {"type": "object"}
    if isinstance(schema, str):
        name = schema.replace("{noun}", noun)
        if "{wish}" in name:
            wish = wish_of(noun)
            assert wish is not None, f"{noun} is not asked for"
            name = name.replace("{wish}", wish.type)
        schema = {"$ref": f"#/components/schemas/{name}"}
    return {str(answer.media_type): {"schema": schema}}


ROUTES = [Route("/v1/openapi.json", show_openapi)]
