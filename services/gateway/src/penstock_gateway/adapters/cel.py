"""Expressions in CEL, by the native module of `common-expression-language`.

The package's own `__init__` imports its command line (typer, rich, prompt-toolkit: 0.5 s and
33 MB measured), so its native module is loaded past it: 4 ms and 3 MB, at the first trigger.
Evaluation takes 5 to 20 µs. Regular expressions run in linear time; there are no clocks and no
randomness in the language. It has no budget of steps either: `expression_cost` gives it one.
"""

import base64
import functools
import importlib.machinery
import importlib.util
import math
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock_gateway.domain.expression_cost import check_cost, cost_of
from penstock_gateway.domain.expression_reach import Reach, reach_of, within
from penstock_gateway.errors import ExpressionError, InvalidExpression, MissingValue

EXPRESSION_LENGTH_MAX = 8192
COMPILED_KEPT_MAX = 1024
_MODULE = "cel.cel"


class CelExpression:
    """`Expression` in CEL."""

    def __init__(self, text: str, program: Any) -> None:
        self.text = text
        self._program = program
        self._names = frozenset(program.variables())
        self._cost = cost_of(text)
        self._reach = reach_of(text)

    @property
    def reach(self) -> Reach:
        """See `Expression.reach`."""
        return self._reach

    @property
    def names(self) -> frozenset[str]:
        """See `Expression.names`."""
        return self._names

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """See `Expression.evaluate`."""
        given = within(variables, self._reach)
        check_cost(self._cost, self.text, given)
        try:
            return _plain(self._program.execute(given))
        except LookupError as error:
            raise MissingValue(f"{self.text}: there is no {error}") from None
        except RuntimeError as error:
            if "Undefined variable or function" in str(error):
                name = str(error).partition("'")[2].partition("'")[0]
                raise InvalidExpression(
                    f"{self.text}: there is no variable or function {name!r}; variables are "
                    "event, meta, number and row; in templates events and count too"
                ) from None
            raise ExpressionError(f"{self.text}: {error}") from None
        except Exception as error:  # noqa: BLE001 - whatever the evaluator raises
            raise ExpressionError(f"{self.text}: {error}") from None


@functools.lru_cache(maxsize=COMPILED_KEPT_MAX)
def compile_cel(text: str) -> CelExpression:
    """Compile; raises `InvalidExpression` with the parser's message."""
    if not text.strip() or len(text) > EXPRESSION_LENGTH_MAX:
        raise InvalidExpression(f"an expression has 1 to {EXPRESSION_LENGTH_MAX} characters")
    try:
        return CelExpression(text, _native().compile(text))
    except InvalidExpression:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the parser raises means: not readable
        problem = str(error).partition("ERROR: ")[2].splitlines() or [str(error)]
        raise InvalidExpression(f"{text[:120]}: {problem[0]}") from None


@functools.cache
def _native() -> ModuleType:
    """The native module, under the name that the package itself gives it."""
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = importlib.util.find_spec("cel")
    folders = list(package.submodule_search_locations or ()) if package else []
    finder = importlib.machinery.FileFinder(
        folders[0],
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
    )
    spec = finder.find_spec(_MODULE)
    if spec is None or spec.loader is None:
        raise ImportError(f"no native module in {Path(folders[0]).name}: reinstall the package")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_MODULE] = module
    return module


def _plain(value: Any) -> Any:
    """A CEL value as JSON values; maps in the order of their keys, since CEL's have none."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ExpressionError("the keys of a map must be strings")
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("the value is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise ExpressionError(f"a value of the kind {type(value).__name__} is not JSON")
