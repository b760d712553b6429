"""How every benchmark ends: a table a person can read, then one JSON line, then its verdict."""

import json
import sys
from collections.abc import Mapping
from typing import NoReturn

OPERATORS = {">=": float.__ge__, "<=": float.__le__}


def met(value: float, target: str) -> bool:
    """Whether `value` meets a bound written as `>=0.5` or `<=3`."""
    return OPERATORS[target[:2]](float(value), float(target[2:]))


def finish(
    name: str,
    figures: Mapping[str, float],
    ratios: Mapping[str, float],
    targets: Mapping[str, str],
) -> NoReturn:
    """Print the figures and the ratios with their targets; exit 1 where one is missed.

    Each key of `targets` is a key of `ratios`.
    """
    unknown = set(targets) - set(ratios)
    assert not unknown, f"targets without a ratio: {unknown}"
    width = max(map(len, [*figures, *ratios]))
    print(f"\n{name}")
    for key, value in figures.items():
        print(f"  {key:<{width}}  {value:>12,.3f}")
    missed = False
    for key, value in ratios.items():
        target = targets.get(key, "")
        good = not target or met(value, target)
        missed |= not good
        print(f"  {key:<{width}}  {value:>12,.3f}  {target:<8} {'' if good else 'MISSED'}")
    rounded = {key: round(value, 4) for key, value in figures.items()}
    print(
        json.dumps(
            {
                "name": name,
                "figures": rounded,
                "ratios": {key: round(value, 4) for key, value in ratios.items()},
                "targets": dict(targets),
            }
        )
    )
    sys.exit(1 if missed else 0)
