"""What an expression may cost at most: CEL has no budget of steps, so it gets one from outside.

From the text alone: how deep loops (`exists`, `all`, `filter`, `map`) are nested, how many build
lists, how often things are joined. With the size of the data that gives a bound on the work; what
lies above `STEPS_MAX` is refused before it starts, the same each time. The evaluator's `map`
copies its list at each step, and copies what the steps give, which the bound counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_gateway.errors import ExpressionError, InvalidExpression

NESTED_LOOPS_MAX = 2
LOOPS_MAX = 8
BUILDING_LOOPS_MAX = 2
PATTERN_LENGTH_MAX = 200
"""Characters of a regular expression, which may hold one counted repetition, below 100."""
PATTERN_STEPS = 2000
"""A regular expression is made anew each time, which takes as long as so many steps."""
STEPS_MAX = 20_000_000
"""At most 0.8 s on one core: measured by `test_no_expression_holds_the_others_up_for_long`."""
CHARACTERS_PER_STEP = 64

_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
    |(?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|(?!\"\"\").)*\"\"\"|'''(?:\\.|(?!''').)*'''
        |"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
    |(?P<name>[A-Za-z_]\w*)|(?P<number>\d[\w.]*)|(?P<sign>[^\s\w])""",
    re.VERBOSE | re.DOTALL,
)
_REPETITION = re.compile(r"\{\d{3,}|\{\d*,\d{3,}|\{.*\{", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cost:
    """The shape of an expression."""

    tokens: int
    nested: int
    building: int
    joins: int
    """`+` and commas outside of arguments that are no lists: what makes things longer."""
    patterns: int

    @property
    def trivial(self) -> bool:
        """Whether the work is little whatever the data."""
        return self.nested == 0 and self.joins <= 8

    def steps(self, size: "Size") -> int:
        """A bound on the work over data of a size."""
        longest = max(size.longest, 1) * (1 + self.joins)
        tokens = self.tokens + PATTERN_STEPS * self.patterns
        total = size.nodes + size.characters // CHARACTERS_PER_STEP
        joined = (1 + self.joins) ** 2 * (1 + total)
        if self.building:
            each = (1 + total) * (1 + self.joins) ** self.building
            return int(longest ** (self.nested + 1) * each + tokens * longest**self.nested)
        return int(tokens * longest**self.nested + joined * longest**self.nested)


@dataclass(frozen=True, slots=True)
class Size:
    """The size of data."""

    nodes: int
    longest: int
    """Elements of its longest list or map."""
    characters: int


def words_of(text: str) -> list[str]:
    """The tokens of an expression that compiles, without comments; a string is one token."""
    return [m.group() for m in _TOKEN.finditer(text) if m.lastgroup != "comment"]


def cost_of(text: str) -> Cost:
    """The shape of an expression; raises `InvalidExpression` for one that could cost anything."""
    words = words_of(text)
    loops = nested = building = joins = patterns = 0
    open_brackets: list[bool] = []
    for place, word in enumerate(words):
        if word in "([{":
            name = words[place - 1] if place and word == "(" else ""
            loop = name in _LOOPS and place > 1 and words[place - 2] == "."
            open_brackets.append(loop)
            if loop:
                loops += 1
                building += name == "map"
                nested = max(nested, sum(open_brackets))
            elif name == "matches":
                patterns += 1
                _check_pattern(text, words, place)
        elif word in ")]}" and open_brackets:
            open_brackets.pop()
        elif word in ("+", ","):
            joins += 1
    if nested > NESTED_LOOPS_MAX or loops > LOOPS_MAX or building > BUILDING_LOOPS_MAX:
        raise InvalidExpression(
            f"{text[:120]}: at most {LOOPS_MAX} loops (exists, all, …), {BUILDING_LOOPS_MAX} of "
            f"them map, nested at most {NESTED_LOOPS_MAX} deep"
        )
    joins -= sum(1 for place, word in enumerate(words) if word == "," and _separates(words, place))
    return Cost(len(words), nested, building, joins, patterns)


def _separates(words: list[str], place: int) -> bool:
    """Whether a comma only separates the variable of a loop from its body: `(x, …`."""
    return place > 2 and words[place - 2] == "(" and words[place - 3] in _LOOPS


def _check_pattern(text: str, words: list[str], place: int) -> None:
    """A pattern is written out: it must not come from data, and not be large."""
    closing, depth = place, 0
    for closing in range(place, len(words)):
        depth += (words[closing] in "([{") - (words[closing] in ")]}")
        if depth == 0:
            break
    arguments = words[place + 1 : closing]
    pattern = arguments[-1] if arguments else ""
    alone = len(arguments) == 1 or (len(arguments) > 1 and arguments[-2] == ",")
    if not alone or not pattern.lstrip("rRbB").startswith(("'", '"')):
        raise InvalidExpression(f"{text[:120]}: write the pattern of matches() out, in quotes")
    if len(pattern) > PATTERN_LENGTH_MAX or _REPETITION.search(pattern):
        raise InvalidExpression(
            f"{text[:120]}: a pattern has at most {PATTERN_LENGTH_MAX} characters and one "
            "repetition {n} below 100"
        )


def size_of(value: Any) -> Size:
    """The size of data."""
    nodes = longest = characters = 0
    left = [value]
    while left:
        one = left.pop()
        nodes += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, Mapping):
            longest = max(longest, len(one))
            characters += sum(len(str(key)) for key in one)
            left.extend(one.values())
        elif isinstance(one, list | tuple):
            longest = max(longest, len(one))
            left.extend(one)
    return Size(nodes, longest, characters)


def check_cost(cost: Cost, text: str, variables: Mapping[str, Any]) -> None:
    """Raise `ExpressionError` where an expression could take long over these variables."""
    if cost.trivial:
        return
    size = size_of(variables)
    steps = cost.steps(size)
    if steps > STEPS_MAX:
        raise ExpressionError(
            f"{text[:120]}: would take up to {steps:.1e} steps over this event ({size.nodes} "
            f"values, the longest list has {size.longest}), and may take {STEPS_MAX:.0e}: "
            "loop over less, join less, or ask for single fields"
        )
