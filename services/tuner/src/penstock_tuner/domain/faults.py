"""What is wrong with an experiment that fits its contract but cannot be searched."""

import math
from dataclasses import dataclass

from penstock_schemas import Categorical, ExperimentRequested, Float, Int
from penstock_schemas.nouns.job import ATTEMPTS_MAX

EXACT_INT_MAX = 2**53
"""Samplers compute with floats: integers beyond this are not told apart."""
PARAMETER_NAME_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class Fault:
    """The field at fault, why, and what to change."""

    field: str
    reason: str
    fix: str


def fault_of(request: ExperimentRequested) -> Fault | None:
    """The first fault of an experiment, or None where it can be searched."""
    for name, distribution in request.space.items():
        field = f"space.{name[:PARAMETER_NAME_LENGTH_MAX]}"
        if not 1 <= len(name) <= PARAMETER_NAME_LENGTH_MAX:
            why = f"the parameter's name has {len(name)} characters"
            return Fault(field, why, f"use 1 to {PARAMETER_NAME_LENGTH_MAX} characters")
        found = (
            _choices_fault(distribution)
            if isinstance(distribution, Categorical)
            else _range_fault(distribution)
        )
        if found is not None:
            reason, fix = found
            return Fault(field, f"{field}: {reason}", fix)
    if request.max_attempts > ATTEMPTS_MAX:
        reason = f"max_attempts {request.max_attempts} is above what a job may have"
        return Fault("max_attempts", reason, f"use at most {ATTEMPTS_MAX}")
    return None


def _range_fault(space: Float | Int) -> tuple[str, str] | None:  # noqa: PLR0911 - a list of checks
    low, high = space.low, space.high
    if low > high:
        return f"low {low} is above high {high}", "swap the bounds"
    if low == high:
        return f"low and high are both {low}", "put a fixed value into params"
    if isinstance(space, Int) and max(abs(low), abs(high)) > EXACT_INT_MAX:
        return "a bound is beyond 2^53, where integers are not exact", "use smaller bounds"
    if not math.isfinite(high - low):
        return f"the range from {low} to {high} is too wide", "use narrower bounds"
    if space.log and low <= 0:
        return f"a logarithmic scale needs low above 0, not {low}", "raise low, or use log: false"
    stepped = space.step != 1 if isinstance(space, Int) else space.step is not None
    if space.log and stepped:
        return "step and log exclude one another", "leave one of them away"
    if space.step is not None and space.step <= 0:
        return f"step {space.step} is not above 0", "use a step above 0"
    if space.step is not None and space.step > high - low:
        return f"step {space.step} is wider than the range", "use a smaller step"
    return None


def _choices_fault(space: Categorical) -> tuple[str, str] | None:
    seen = set()
    for choice in space.choices:
        # True equals 1 in Python but is another value in JSON.
        identity = (isinstance(choice, bool), choice)
        if identity in seen:
            return f"the choice {choice!r} is there twice", "name each choice once"
        seen.add(identity)
    return None
