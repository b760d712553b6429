"""Templates: JSON whose strings may hold `${expression}`.

A string that is one expression keeps the type of its value; inside longer text the value is
written as text. `$${` stands for a literal `${`. Keys are never templates.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock_gateway.domain.expressions import Compile
from penstock_gateway.errors import GatewayError

DEPTH_MAX = 32
"""Levels of lists and maps in a template."""
_QUOTES = ("'", '"')


class InvalidTemplate(GatewayError):
    """A template string cannot be read; `path` is where it stands."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Code:
    """An expression inside a string."""

    text: str


def split(text: str) -> list[str | Code]:
    """A template string as literal text and expressions; raises `ValueError`."""
    parts: list[str | Code] = []
    literal = ""
    position = 0
    while position < len(text):
        if text.startswith("$${", position):
            literal += "${"
            position += 3
        elif text.startswith("${", position):
            end = _closing(text, position + 2)
            if literal:
                parts.append(literal)
                literal = ""
            parts.append(Code(text[position + 2 : end].strip()))
            position = end + 1
        else:
            literal += text[position]
            position += 1
    if literal or not parts:
        parts.append(literal)
    return parts


def _closing(text: str, start: int) -> int:
    """Where the expression that begins at `start` ends: at the first brace that closes it,
    outside of quotes."""
    depth, quote, position = 0, "", start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in _QUOTES:
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return position
            depth -= 1
        position += 1
    raise ValueError("`${` is never closed by `}`; write `$${` for a literal `${`")


def codes(template: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every expression of a template with its path; raises `InvalidTemplate`."""
    if depth > DEPTH_MAX:
        raise InvalidTemplate(path, f"is nested deeper than {DEPTH_MAX} levels")
    if isinstance(template, str):
        try:
            parts = split(template)
        except ValueError as error:
            raise InvalidTemplate(path, str(error)) from None
        yield from ((path, part.text) for part in parts if isinstance(part, Code))
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from codes(value, f"{path}.{key}", depth + 1)
    elif isinstance(template, list | tuple):
        for number, value in enumerate(template):
            yield from codes(value, f"{path}.{number}", depth + 1)


def render(template: Any, path: str, variables: Mapping[str, Any], compile: Compile) -> Any:
    """The template with every expression evaluated.

    Raises `InvalidTemplate` naming the path; its cause is the `ExpressionError`.
    """
    if isinstance(template, str):
        return _render_text(template, path, variables, compile)
    if isinstance(template, Mapping):
        return {k: render(v, f"{path}.{k}", variables, compile) for k, v in template.items()}
    if isinstance(template, list | tuple):
        return [render(v, f"{path}.{n}", variables, compile) for n, v in enumerate(template)]
    return template


def _render_text(text: str, path: str, variables: Mapping[str, Any], compile: Compile) -> Any:
    if "${" not in text:
        return text
    try:
        values = [
            compile(part.text).evaluate(variables) if isinstance(part, Code) else part
            for part in split(text)
        ]
    except (GatewayError, ValueError) as error:
        raise InvalidTemplate(path, str(error)) from error
    if len(values) == 1:
        return values[0]
    return "".join(value if isinstance(value, str) else json.dumps(value) for value in values)
