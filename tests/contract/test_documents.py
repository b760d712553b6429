"""The documents say what is there: every event, setting, metric and command has its line, every
term of ours its meaning, and every link of the documents leads somewhere."""

import ast
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "reference"))
import generate
from pydantic_settings import BaseSettings

from penstock_chassis.discovery import installed_names, load_service
from penstock_chassis.metrics import REGISTRY
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import event_types
from penstock_serving.adapters.front_metrics import FrontMetrics

ROOT = generate.ROOT
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
TERMS = (
    *("namespace", "dataset", "dataset version", "feature view", "entity", "experiment", "trial"),
    *("job", "attempt", "queue", "quota", "gang", "placement", "preemption", "checkpoint"),
    *("model", "model version", "alias", "endpoint", "revision", "rollout", "trigger", "event"),
    *("stream", "consumer", "projection", "dead letter"),
)
"""The standard terms of the field that our names keep to."""


def lines(page: str) -> list[str]:
    """The first cells of a page's tables, without their marks."""
    text = (DOCS / page).read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [re.sub(r"^\[?`?([^`|]+?)`?(\].*)?$", r"\1", row.split(" | ")[0][2:]) for row in rows]


def test_generating_the_reference_again_changes_nothing() -> None:
    for name, text in generate.pages().items():
        written = (DOCS / "reference" / name).read_text("utf-8")
        assert written == text, generate.REGENERATE


def test_every_event_has_its_line() -> None:
    assert set(event_types()) <= set(lines("reference/events.md"))


def test_every_setting_of_every_service_has_its_line_and_says_what_it_means() -> None:
    classes: list[type[BaseSettings]] = [PlatformSettings]
    classes += [load_service(name).settings for name in installed_names()]
    documented = set(lines("reference/settings.md"))
    for settings in classes:
        for variable, field in generate.variables(settings):
            assert variable in documented
            assert field.description, f"{variable} has no attribute docstring"


def test_every_variable_in_the_code_has_its_line() -> None:
    """Also those that are no settings: what jobs are told, where the client looks."""
    documented = set(lines("reference/settings.md"))
    used = set()
    for source in generate.SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    used |= (
                        {node.value} if re.fullmatch("PENSTOCK_[A-Z_]+[A-Z]", node.value) else set()
                    )
                elif isinstance(node, ast.keyword) and (node.arg or "").startswith("PENSTOCK_"):
                    used.add(str(node.arg))
    assert used - documented == set()
    assert generate.VARIABLES.keys() - used == {"PENSTOCK_BASE_REVISION"}, "of the tests alone"


def test_every_metric_that_is_exposed_has_its_line() -> None:
    documented = set(lines("reference/metrics.md"))
    exposed = {
        family.name + ("_total" if family.type == "counter" else "")
        for registry in (REGISTRY, FrontMetrics().registry)
        for family in registry.collect()
    }
    assert len(exposed) > 5
    assert exposed <= documented
    assert exposed <= {metric.name for metric in generate.metrics()}


def test_every_metric_is_named_and_described_as_the_rules_say() -> None:
    for metric in generate.metrics():
        assert re.fullmatch("penstock_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        assert metric.meaning
        assert not {"id", "job", "event_id"} & set(metric.labels), f"{metric}: ids are never labels"


def test_every_command_has_its_line_and_says_what_it_does() -> None:
    documented = lines("reference/cli.md")
    for words, command in generate.commands():
        usage = " ".join(("penstock", *words))
        assert any(line == usage or line.startswith(f"{usage} ") for line in documented), usage
        assert command.help, f"{usage} has no help"


def test_the_glossary_has_every_noun_and_every_term_once() -> None:
    cells = [term.strip() for line in lines("glossary.md")[1:] for term in line.split(",")]
    assert len(cells) == len(set(cells))
    nouns = {cls.noun() for cls in event_types().values()}
    assert (nouns | set(TERMS)) - set(cells) == set()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for path in re.findall(r"`((?:services|chassis|schemas|sdk|tests|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_decision_is_listed_in_the_architecture_and_has_the_same_parts() -> None:
    listed = (DOCS / "architecture.md").read_text("utf-8")
    decisions = sorted((DOCS / "adr").glob("*.md"))
    for number, path in enumerate(decisions, 1):
        assert path.name.startswith(f"{number:04d}-")
        assert f"(adr/{path.name})" in listed, f"list {path.name} in docs/architecture.md"
        text = path.read_text("utf-8")
        assert text.startswith(f"# {number}. ")
        for part in ("Context", "Decision", "Consequences", "Measured"):
            assert f"**{part}" in text, f"{path.name} has no {part}"
