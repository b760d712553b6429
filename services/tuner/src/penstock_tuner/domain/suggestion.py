"""A suggestion: what a sampler proposes for one trial."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Suggestion:
    """Parameters for one trial, and what the sampler must be given back on a rebuild."""

    number: int
    params: dict[str, Any]
    sampler: str
    library: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
