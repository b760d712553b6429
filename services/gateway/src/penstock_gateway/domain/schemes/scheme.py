"""What a scheme of verification is: a name and a pure function of request, secrets and time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock_gateway.domain.webhooks import Delivered, Incoming
from penstock_schemas import SourceSpec

Fault = tuple[str, str, str]
"""The field of a source at fault, why, and what to do."""
Verify = Callable[[Incoming, SourceSpec, Sequence[str], datetime], Sequence[Delivered]]
"""What a request tells, given its source, the secrets that open and the present time.

Raises `Refused`: `unproven` until a secret opened, then with the fault by name.
"""


def _sound(spec: SourceSpec) -> Fault | None:
    return None


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the deliveries of one kind of sender are verified and read."""

    name: str
    verify: Verify
    takes: frozenset[str] = frozenset()
    """Which of `SourceOptions` it takes."""
    check: Callable[[SourceSpec], Fault | None] = _sound
    """What its options lack."""
