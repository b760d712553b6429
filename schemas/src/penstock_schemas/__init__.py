"""The message contracts of Penstock.

Services and apps meet only here. Import contracts from this package:

    from penstock_schemas import JobRequested, decode

To add an event: add its class to the file of its noun in `nouns/`, export it there, and
regenerate the catalogue (`python -m penstock_schemas.catalog`).
"""

from penstock_schemas import nouns
from penstock_schemas.envelope import Envelope, read_envelope
from penstock_schemas.errors import (
    InvalidEnvelope,
    InvalidEvent,
    InvalidSubject,
    SchemaError,
    UnknownType,
)
from penstock_schemas.event import (
    ADMIN,
    ANYONE,
    Event,
    Value,
    check_upcasters,
    decode,
    event_class,
    event_types,
    upcaster,
)
from penstock_schemas.kinds import (
    UnknownKind,
    document_of,
    kind_class,
    kinds,
    lives_in_itself,
    payload_of,
)
from penstock_schemas.names import (
    NAME_LENGTH_MAX,
    NAME_PATTERN,
    SYSTEM_NAMESPACE,
    Digest,
    ExperimentName,
    Name,
    derived_id,
    is_name,
    new_id,
)
from penstock_schemas.nouns import *  # noqa: F403
from penstock_schemas.references import check_own, check_references, is_own, key_of, references
from penstock_schemas.roles import EDITOR, role_to_send
from penstock_schemas.strict import unknown_fields
from penstock_schemas.subjects import ROOT, Aggregate, Subject, filter_of, parse_subject

check_upcasters()

__all__ = [  # noqa: PLE0604
    "ADMIN",
    "ANYONE",
    "EDITOR",
    "NAME_LENGTH_MAX",
    "NAME_PATTERN",
    "ROOT",
    "SYSTEM_NAMESPACE",
    "Aggregate",
    "Digest",
    "Envelope",
    "Event",
    "ExperimentName",
    "InvalidEnvelope",
    "InvalidEvent",
    "InvalidSubject",
    "Name",
    "SchemaError",
    "Subject",
    "UnknownKind",
    "UnknownType",
    "Value",
    "check_own",
    "check_references",
    "check_upcasters",
    "decode",
    "derived_id",
    "document_of",
    "event_class",
    "event_types",
    "filter_of",
    "is_own",
    "is_name",
    "kind_class",
    "kinds",
    "lives_in_itself",
    "key_of",
    "new_id",
    "parse_subject",
    "payload_of",
    "read_envelope",
    "unknown_fields",
    "references",
    "role_to_send",
    "upcaster",
    *nouns.__all__,
]
