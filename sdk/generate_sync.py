"""Writes the synchronous client from the asynchronous one: `python sdk/generate_sync.py`.

Every module of `client/aio` but `effects` (which is written by hand in both) has its keywords and
names replaced. A test fails where the committed files are not what this makes.
"""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).resolve().parent / "src" / "penstock" / "client"
BY_HAND = "effects.py"
HEADER = "# Generated from client/aio by generate_sync.py; edit that, and run it again.\n"
REPLACED = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\basynchronous\b", "synchronous"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\b__aiter__\b", "__iter__"),
    (r"\b(?:aclosing)\b", "closing"),
    (r"\ba(close|read|iter_bytes)\(", r"\1("),
    (r"\bAsync(\w+)", r"\1"),
    (r"\[(\w+) for \1 in (self[\w.()]*)\]", r"list(\2)"),
    (r"\bclient\.aio\b", "client.sync"),
)


def synchronous(source: str, path: Path) -> str:
    """The text of the module at `path`, without its keywords of asynchrony, formatted."""
    for pattern, replacement in REPLACED:
        source = re.sub(pattern, replacement, source)
    if source.count("from penstock.client.sync.client import Client") and "__all__" in source:
        source = re.sub(r'^""".*?"""', '"""The synchronous client."""', source, flags=re.DOTALL)
    return _ruff(_ruff(HEADER + source, path, "check", "--fix-only", "--select=I"), path, "format")


def _ruff(source: str, path: Path, *command: str) -> str:
    """Ruff as the repository configures it, as if the text were a file of the client."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--quiet", f"--stdin-filename={path}", "-"],
        input=source,
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def generated() -> dict[Path, str]:
    """The text of every generated file."""
    return {
        CLIENT / "sync" / made.name: synchronous(
            made.read_text(encoding="utf-8"), CLIENT / "sync" / made.name
        )
        for made in sorted((CLIENT / "aio").glob("*.py"))
        if made.name != BY_HAND
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
