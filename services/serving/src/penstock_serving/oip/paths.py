"""Which operation a request line asks for.

The base URL of an endpoint is `/{namespace}/{endpoint}`. Below it the protocol's own paths stand
unchanged, so any client of the protocol works when it is given the base URL.
"""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from penstock_serving.errors import NotFound


class Operation(Enum):
    """What is asked of an endpoint; the value is the method that the protocol gives it."""

    SERVER_METADATA = ("GET", "server metadata")
    SERVER_LIVE = ("GET", "server live")
    SERVER_READY = ("GET", "server ready")
    MODEL_METADATA = ("GET", "model metadata")
    MODEL_READY = ("GET", "model ready")
    INFER = ("POST", "infer")

    @property
    def method(self) -> str:
        """The HTTP method of the operation."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Call:
    """One parsed path; `version` is the model version that the caller pinned, if any."""

    operation: Operation
    namespace: str
    endpoint: str
    version: str | None = None


_SERVER = {
    (): Operation.SERVER_METADATA,
    ("health", "live"): Operation.SERVER_LIVE,
    ("health", "ready"): Operation.SERVER_READY,
}
_MODEL = {
    (): Operation.MODEL_METADATA,
    ("ready",): Operation.MODEL_READY,
    ("infer",): Operation.INFER,
}


def parse_path(target: str) -> Call:
    """Parse a request target; raises `NotFound` with the paths that exist."""
    path = target.partition("?")[0]
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    if len(segments) < 3 or segments[2] != "v2":
        raise NotFound(f"no such path: {path[:200]!r}; an endpoint's is /NAMESPACE/ENDPOINT/v2/…")
    namespace, endpoint, _, *rest = segments
    if operation := _SERVER.get(tuple(rest)):
        return Call(operation, namespace, endpoint)
    if len(rest) >= 2 and rest[0] == "models":
        return _parse_model(path, namespace, endpoint, rest[1], rest[2:])
    raise NotFound(f"no such path: {path[:200]!r}; see {_base(namespace, endpoint)}/models/…")


def _parse_model(path: str, namespace: str, endpoint: str, model: str, rest: list[str]) -> Call:
    if model != endpoint:
        raise NotFound(
            f"endpoint {endpoint!r} serves one model under its own name;"
            f" ask {_base(namespace, endpoint)}/models/{endpoint} instead of models/{model[:63]}"
        )
    version = None
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    operation = _MODEL.get(tuple(rest))
    if operation is None:
        raise NotFound(f"no such path: {path[:200]!r}; a model has [/versions/V][/ready|/infer]")
    return Call(operation, namespace, endpoint, version)


def _base(namespace: str, endpoint: str) -> str:
    return f"/{namespace[:63]}/{endpoint[:63]}/v2"
