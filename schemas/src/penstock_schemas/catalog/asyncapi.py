"""The AsyncAPI 3.0.0 document: channels by event type, messages by version, who sends and receives.

Payloads refer to the schema files beside the document. Operations say what is fixed by contract:
the owner of a fact sends it, the service that answers a wish receives it, and `LISTENS` adds
which service reacts to another's facts. Anyone else may subscribe to anything it is allowed to.
"""

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

from penstock_schemas.acceptance import Schema
from penstock_schemas.catalog.json_schema import OWNER, SHARED_WITH
from penstock_schemas.envelope import ENVELOPE_FIELD_LENGTH_MAX, SCHEMA_URN, SPEC_VERSION
from penstock_schemas.event import ANYONE, event_types
from penstock_schemas.names import NAME_PATTERN
from penstock_schemas.subjects import ROOT

VERSION = "3.0.0"
PAYLOAD_FORMAT = "application/schema+json;version=draft-2020-12"

LISTENS: Mapping[str, tuple[str, ...]] = {
    "datasets": ("dataset.registered",),
    "features": ("dataset.profiled",),
    "gateway": (
        *("subscription.remove-requested", "subscription.replay-requested"),
        *("trigger.fire-requested", "trigger.pause-requested", "trigger.resume-requested"),
    ),
    "scheduler": (
        *("job.queued", "job.succeeded", "job.failed", "job.cancelled", "job.cancel-requested"),
        *("node.registered", "node.drained", "node.lost", "queue.configured"),
    ),
    "trainer": ("job.placed", "job.preempted", "job.cancel-requested"),
    "tuner": ("job.succeeded", "job.failed", "job.cancelled", "job.rejected"),
    "registry": (
        *("job.succeeded", "job.failed", "job.cancelled", "job.rejected"),
        "experiment.completed",
    ),
    "serving": ("model.promoted", "rollout.started"),
}
"""What a service handles beside the wishes that it answers: the handlers of its `app.py`.

Of the gateway only what it answers: it reads everything, as triggers may wait for anything.
"""

SENDS: Mapping[str, tuple[str, ...]] = {
    "datasets": ("dataset.registered",),
    "gateway": (ANYONE,),
    "registry": ("job.requested", "promotion.requested"),
    "tuner": ("job.requested",),
}
"""What services say beside the facts that are theirs; `ANYONE` is everything that anyone may say
(the HTTP API, triggers). `tests/contract` compares both tables with the services."""

_ATTRIBUTES = {
    "ce-specversion": "Version of CloudEvents",
    "ce-id": "Id of the event; the stream's deduplication and causation go by it",
    "ce-source": "Who appended it",
    "ce-type": "The event type, as in the subject",
    "ce-subject": "The id of the aggregate, the last token of the subject",
    "ce-time": "When it was said, RFC 3339",
    "ce-dataschema": "The schema of the payload; absent means version 1",
    "ce-correlationid": "Id of the first event of the whole story",
    "ce-causationid": "Id of the event that led directly to this one",
    "traceparent": "W3C trace context",
}


def asyncapi(schemas: Mapping[str, Schema]) -> Schema:
    """The document for the schemas of a catalogue, by path."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Penstock events",
            "version": installed_version("penstock-schemas"),
            "description": (
                "Every event of Penstock: CloudEvents 1.0 in binary mode over NATS JetStream. "
                "Generated from the contracts; do not edit."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {type: _channel(type, schemas) for type in _types(schemas)},
        "operations": _operations(schemas),
        "components": {
            "messages": {
                _message_name(path): _message(path, schema) for path, schema in schemas.items()
            },
            "parameters": {
                "namespace": {"description": "The team", "examples": ["vision"]},
                "id": {"description": f"The aggregate, matching {NAME_PATTERN}"},
            },
            "schemas": {"envelope": _envelope()},
        },
    }


def _types(schemas: Mapping[str, Schema]) -> list[str]:
    return sorted({path.split("/", 1)[0] for path in schemas})


def _message_name(path: str) -> str:
    return path.removesuffix(".json").replace("/", ".")


def _channel(type: str, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    noun, verb = type.split(".")
    names = [_message_name(path) for path in schemas if path.startswith(f"{type}/")]
    return {
        "address": f"{ROOT}.{{namespace}}.{noun}.{verb}.{{id}}",
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in ("namespace", "id")
        },
        "messages": {
            name.rsplit(".", 1)[1]: {"$ref": f"#/components/messages/{name}"} for name in names
        },
    }


def _message(path: str, schema: Schema) -> dict[str, Any]:
    type, file = path.split("/")
    version = file.removeprefix("v").removesuffix(".json")
    says: dict[str, Any] = {
        "ce-type": {"const": type},
        "ce-dataschema": {"const": f"{SCHEMA_URN}:{type}:{version}"},
    }
    return {
        "name": type,
        "title": f"{schema['title']} version {version}",
        "summary": schema["description"].split("\n\n")[0].replace("\n", " "),
        "contentType": "application/json",
        "headers": {
            "allOf": [{"$ref": "#/components/schemas/envelope"}, {"properties": says}],
        },
        "payload": {"schemaFormat": PAYLOAD_FORMAT, "schema": {"$ref": f"./{path}"}},
        "examples": [{"name": "example", "payload": payload} for payload in schema["examples"]],
    }


def _envelope() -> Schema:
    """The headers; none is required, because a plain publish is completed from its subject."""
    properties: Schema = {
        name: {"type": "string", "maxLength": ENVELOPE_FIELD_LENGTH_MAX, "description": meaning}
        for name, meaning in _ATTRIBUTES.items()
    }
    properties["ce-specversion"]["examples"] = [SPEC_VERSION]
    properties["ce-time"]["format"] = "date-time"
    return {
        "type": "object",
        "description": "CloudEvents attributes, percent-encoded; filled in where absent",
        "properties": properties,
    }


def _operations(schemas: Mapping[str, Schema]) -> dict[str, Any]:
    sends, receives = _traffic(schemas)
    return {
        f"{service}.{action}.{type}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{type}"},
            "summary": f"{service} {'appends' if action == 'send' else 'reacts to'} {type}",
            "tags": [{"name": service}],
        }
        for action, pairs in (("receive", receives), ("send", sends))
        for service, type in sorted(pairs)
    }


def _traffic(schemas: Mapping[str, Schema]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """`(service, type)` of what services send and of what they receive."""
    owners = {
        path.split("/", 1)[0]: (schema[OWNER], *schema.get(SHARED_WITH, ()))
        for path, schema in schemas.items()
    } | {type: cls.appenders() for type, cls in event_types().items()}
    free = {type for type, names in owners.items() if ANYONE in names}
    sends = {(name, type) for type, names in owners.items() for name in names if name != ANYONE}
    for service, types in SENDS.items():
        for type in types:
            sends.update((service, one) for one in (free if type == ANYONE else {type}))
    receives = {(service, type) for service, types in LISTENS.items() for type in types}
    for wish in free:
        answerers = owners.get(f"{wish.split('.')[0]}.rejected", (ANYONE,))
        if wish.endswith(".requested") and ANYONE not in answerers:
            receives.add((answerers[0], wish))
    return sends, receives
