"""Subject filters as NATS matches them: `*` is one token, a last `>` is one or more."""

from functools import lru_cache


@lru_cache(maxsize=65_536)
def matches(filter: str, subject: str) -> bool:
    """Whether a subject matches a filter."""
    wanted = filter.split(".")
    tokens = subject.split(".")
    if wanted[-1] == ">":
        if len(tokens) < len(wanted):
            return False
        wanted.pop()
    elif len(tokens) != len(wanted):
        return False
    return all(want in ("*", token) for want, token in zip(wanted, tokens, strict=False))
