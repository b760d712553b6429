"""The parts that several contracts share."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from penstock_schemas.event import Value
from penstock_schemas.names import Digest, Name

TEXT_LENGTH_MAX = 4096
Text = Annotated[str, Field(max_length=TEXT_LENGTH_MAX)]
ShortText = Annotated[str, Field(min_length=1, max_length=1024)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(ge=0)]
Metrics = dict[Annotated[str, Field(min_length=1, max_length=128)], float]
Params = dict[Annotated[str, Field(min_length=1, max_length=128)], JsonValue]
Goal = Literal["maximize", "minimize"]


class ObjectRef(Value):
    """Bytes in the object store, named by where they are and by what they must hash to.

    `kind` says whether the object is one file or a folder: a folder's object is its manifest
    (canonical JSON: sorted `{path, size_bytes, digest}`), its files are objects of their own.
    """

    uri: Annotated[
        str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]*/.+$", max_length=1024, examples=["s3://b/k"])
    ]
    digest: Digest
    size_bytes: Annotated[int, Field(ge=0, description="Bytes of the object, or of all its files")]
    kind: Literal["file", "folder"] = "file"


class Resources(Value):
    """What one node offers or one job takes."""

    cpu: Annotated[float, Field(gt=0, le=100_000, description="CPU cores")] = 1.0
    memory_bytes: Annotated[int, Field(ge=0, description="Bytes; 0 means not declared")] = 0
    gpu: Annotated[int, Field(ge=0, le=1_000_000, description="Whole GPUs")] = 0


class Origin(Value):
    """What a thing was asked for by: the noun and the id of, for example, a trial."""

    noun: Name
    id: Name


class Objective(Value):
    """The metric to optimise and its direction."""

    metric: ShortText
    goal: Goal = "maximize"


class Program(Value):
    """People's code: a command run in a working directory that holds `source`, unchanged.

    A command word `{python}` stands for the interpreter of the environment that runs it.
    """

    command: Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=256)]
    source: Annotated[ObjectRef | None, Field(description="The folder or file placed there")] = None


class Gate(Value):
    """How a candidate earns a promotion: `program` is run as a job and its result is compared.

    The job gets the inputs `candidate`, `incumbent` (where there is one) and everything in
    `inputs`, and reports the metrics `candidate_<metric>` and `incumbent_<metric>`. The candidate
    is promoted where it is better by more than `min_gain`.
    """

    program: Program
    objective: Objective
    inputs: dict[Name, ObjectRef] = {}
    min_gain: Annotated[float, Field(ge=0, description="In units of the metric")] = 0.0


class ModelTarget(Value):
    """Where a trained model goes: registered as the next version of `model`, then put forward
    for `alias`, through `gate` where one is given."""

    model: Name
    alias: Name = "champion"
    gate: Gate | None = None


class Refusal(Value):
    """Why a wish was refused: what is wrong, where, and what to do."""

    request: Annotated[str, Field(description="The id of the refused event", max_length=1024)]
    reason: ShortText
    field: Annotated[str, Field(description="The field at fault, dotted; may be empty")] = ""
    fix: Annotated[str, Field(description="What to change, for a person")] = ""


REF = {
    "uri": "s3://penstock/vision/blake3/9f/9f86d0",
    "digest": "blake3:" + "9f" * 32,
    "size_bytes": 1048576,
    "kind": "file",
}
"""An object reference for the examples of the contracts."""
