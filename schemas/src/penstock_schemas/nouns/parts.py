"""The parts that several contracts share."""

import math
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from penstock_schemas.event import Value
from penstock_schemas.names import Digest, Name

TEXT_LENGTH_MAX = 4096


def _finite(value: JsonValue) -> JsonValue:
    """Refuse NaN and infinities: JSON has no such numbers, so they would be written as null."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    if isinstance(value, dict):
        for part in value.values():
            _finite(part)
    elif isinstance(value, list):
        for part in value:
            _finite(part)
    return value


def _in_utc(value: datetime) -> datetime:
    """A time without a zone is UTC, as in the envelope: every time in an event can be compared."""
    try:
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except OverflowError:  # some times of the years 1 and 9999 exist in their own zone only
        raise ValueError("the time has no equal in UTC") from None


Text = Annotated[str, Field(max_length=TEXT_LENGTH_MAX)]
ShortText = Annotated[str, Field(min_length=1, max_length=1024)]
Json = Annotated[JsonValue, AfterValidator(_finite)]
Time = Annotated[datetime, AfterValidator(_in_utc)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Goal = Literal["maximize", "minimize"]
Seconds = Annotated[float, Field(ge=0, description="How long it took, seconds")]
Reason = Annotated[ShortText, Field(description="Why, for a person")]
Alias = Annotated[Name, Field(description="The name that endpoints follow, e.g. `champion`")]
Attempt = Annotated[Positive, Field(description="Number of the attempt, from 1")]
ModelVersion = Annotated[Positive, Field(description="Number of the model's version, from 1")]
Revision = Annotated[Positive, Field(description="Number of the endpoint's revision, from 1")]
TrialNumber = Annotated[Count, Field(description="Number of the trial in its experiment, from 0")]
DatasetVersion = Annotated[Digest, Field(description="The version: the digest of its manifest")]
Metrics = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], float],
    Field(description="Values by metric, each in the metric's own unit"),
]
Params = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=128)], Json],
    Field(description="Values by parameter, as the program reads them"),
]


class ObjectRef(Value):
    """Bytes in the object store, named by where they are and by what they must hash to.

    `kind` says whether the object is one file or a folder: a folder's object is its manifest
    (canonical JSON: sorted `{path, size_bytes, digest}`), its files are objects of their own.
    """

    uri: Annotated[
        str,
        Field(
            pattern=r"^s3://[a-z0-9][a-z0-9.-]*/.+$",
            max_length=1024,
            examples=["s3://b/k"],
            description="Bucket and key",
        ),
    ]
    digest: Annotated[Digest, Field(description="What the bytes must hash to")]
    size_bytes: Annotated[int, Field(ge=0, description="Bytes of the object, or of all its files")]
    kind: Annotated[
        Literal["file", "folder"], Field(description="One file, or the manifest of a folder")
    ] = "file"


class Resources(Value):
    """What one node offers or one job takes."""

    cpu: Annotated[float, Field(gt=0, le=100_000, description="CPU cores")] = 1.0
    memory_bytes: Annotated[int, Field(ge=0, description="Bytes; 0 means not declared")] = 0
    gpu: Annotated[int, Field(ge=0, le=1_000_000, description="Whole GPUs")] = 0


class Origin(Value):
    """What a thing was asked for by: the noun and the id of, for example, a trial."""

    noun: Annotated[Name, Field(description="The noun of its events, e.g. `trial`")]
    id: Annotated[Name, Field(description="Its id or name")]


class Objective(Value):
    """The metric to optimise and its direction."""

    metric: Annotated[ShortText, Field(description="Name of a metric that the program reports")]
    goal: Annotated[Goal, Field(description="Whether more or less is better")] = "maximize"


class Program(Value):
    """People's code: a command run in a working directory that holds `source`, unchanged.

    A command word `{python}` stands for the interpreter of the environment that runs it.
    """

    command: Annotated[
        tuple[ShortText, ...],
        Field(min_length=1, max_length=256, description="The program and its arguments; no shell"),
    ]
    source: Annotated[ObjectRef | None, Field(description="The folder or file placed there")] = None


Inputs = Annotated[
    dict[Name, ObjectRef],
    Field(description="Objects by the name under which the program finds them"),
]


class Gate(Value):
    """How a candidate earns a promotion: `program` is run as a job and its result is compared.

    The job gets the inputs `candidate`, `incumbent` (where there is one) and everything in
    `inputs`, and reports the metrics `candidate_<metric>` and `incumbent_<metric>`. The candidate
    is promoted where it is better by more than `min_gain`.
    """

    program: Program
    objective: Objective
    inputs: Inputs = {}
    min_gain: Annotated[float, Field(ge=0, description="In units of the metric")] = 0.0


class ModelTarget(Value):
    """Where a trained model goes: registered as the next version of `model`, then put forward
    for `alias`, through `gate` where one is given."""

    model: Name
    alias: Alias = "champion"
    gate: Gate | None = None


class Refusal(Value):
    """Why a wish was refused: what is wrong, where, and what to do."""

    request: Annotated[str, Field(description="The id of the refused event", max_length=1024)]
    reason: Reason
    field: Annotated[str, Field(description="The field at fault, dotted; may be empty")] = ""
    fix: Annotated[str, Field(description="What to change, for a person")] = ""


REF = {
    "uri": "s3://penstock/vision/blake3/9f/9f86d0",
    "digest": "blake3:" + "9f" * 32,
    "size_bytes": 1048576,
    "kind": "file",
}
"""An object reference for the examples of the contracts."""
