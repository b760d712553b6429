"""What Prometheus scrapes and Grafana draws exists: ports, paths and metrics of the code."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from penstock_chassis.health import serve_health
from penstock_chassis.metrics import REGISTRY

SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
SCRAPED = {"up"}
"""What Prometheus itself says of a target."""
METRIC = re.compile(r"\b(penstock_[a-z0-9_]+|up)\b")
GROUPING = re.compile(r"\b(?:by|without) \(([^)]*)\)")
MATCHER = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
LEGEND = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")
PATHS = {"/livez", "/readyz", "/metrics"}


def metrics(registry: CollectorRegistry) -> dict[str, set[str]]:
    """The names of a registry's series, each with its labels."""
    found: dict[str, set[str]] = {}
    for collector in set(registry._names_to_collectors.values()):
        labels = set(getattr(collector, "_labelnames", ()))
        for metric in collector.collect():
            for suffix in SUFFIXES[metric.type]:
                extra = {"le"} if suffix == "_bucket" else set()
                found[metric.name + suffix] = labels | extra
    return found


def unknown(expression: str, known: dict[str, set[str]]) -> Iterator[str]:
    """Metrics and labels of an expression that the code does not have."""
    names = set(METRIC.findall(expression))
    yield from names - known.keys() - SCRAPED
    labels = {"job", "instance"}.union(*(known.get(name, set()) for name in names))
    used = {label.strip() for group in GROUPING.findall(expression) for label in group.split(",")}
    yield from (used | set(MATCHER.findall(expression))) - labels


@pytest.fixture
def dashboard(root: Path) -> dict[str, Any]:
    text = (root / "compose" / "grafana" / "dashboards" / "penstock.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.fixture
def rules(root: Path) -> list[dict[str, Any]]:
    loaded = yaml.safe_load((root / "compose" / "prometheus" / "rules.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


@pytest.fixture
def scraped(root: Path) -> dict[str, Any]:
    """The one scrape job."""
    loaded = yaml.safe_load((root / "compose" / "prometheus" / "prometheus.yml").read_text())
    (job,) = loaded["scrape_configs"]
    assert isinstance(job, dict)
    return job


def test_every_metric_of_the_dashboard_exists(dashboard: dict[str, Any]) -> None:
    known = metrics(REGISTRY)
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    assert len(expressions) >= 7
    for expression in expressions:
        assert METRIC.search(expression), expression
        assert list(unknown(expression, known)) == [], expression


def test_every_metric_of_the_alerts_exists(rules: list[dict[str, Any]]) -> None:
    known = metrics(REGISTRY)
    assert rules
    for rule in rules:
        assert METRIC.search(rule["expr"]), rule["alert"]
        assert list(unknown(rule["expr"], known)) == [], rule["alert"]
        assert {"summary", "next"} <= rule["annotations"].keys(), "an alert says what to do next"


def test_a_metric_or_a_label_that_does_not_exist_would_be_found() -> None:
    known = metrics(REGISTRY)
    assert list(unknown("rate(penstock_events_handeled_total[5m])", known))
    assert list(unknown("sum by (svc) (penstock_events_handled_total)", known)) == ["svc"]
    assert list(unknown('penstock_events_handled_total{result="ok"}', known)) == ["result"]


def test_legends_name_labels_that_the_expression_keeps(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            grouped = GROUPING.search(target["expr"])
            kept = {g.strip() for g in grouped[1].split(",")} if grouped else {"instance"}
            assert set(LEGEND.findall(target["legendFormat"])) <= kept, panel["title"]


def test_the_dashboard_finds_its_source_and_its_files(
    dashboard: dict[str, Any], compose: dict[str, Any], root: Path
) -> None:
    provisioning = root / "compose" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    used = {target["datasource"]["uid"] for p in dashboard["panels"] for target in p["targets"]}
    assert used == {source["uid"]}
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert compose["services"][host]["ports"][0].endswith(f":{port}")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "penstock.yaml").read_text())[
        "providers"
    ]
    mounts = compose["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(set(cells)) == len(cells)


def test_every_service_is_scraped_where_it_answers(
    scraped: dict[str, Any], services: list[str], compose: dict[str, Any]
) -> None:
    (group,) = scraped["static_configs"]
    ports = {
        name: compose["services"][name]["environment"]["PENSTOCK_HEALTH_PORT"] for name in services
    }
    assert sorted(group["targets"]) == sorted(f"{name}:{port}" for name, port in ports.items())


def test_alerts_look_at_the_job_that_is_scraped(
    scraped: dict[str, Any], rules: list[dict[str, Any]], dashboard: dict[str, Any]
) -> None:
    expressions = [rule["expr"] for rule in rules]
    expressions += [target["expr"] for p in dashboard["panels"] for target in p["targets"]]
    jobs = {job for text in expressions for job in re.findall(r'job="([^"]+)"', text)}
    assert jobs == {scraped["job_name"]}


async def test_probes_and_scrapes_ask_paths_that_a_process_answers(
    compose: dict[str, Any],
    scraped: dict[str, Any],
    services: list[str],
    kustomize: Callable[[str], list[dict[str, Any]]],
) -> None:
    asked = {scraped["metrics_path"]}
    for name in services:
        text = " ".join(compose["services"][name]["healthcheck"]["test"])
        port = compose["services"][name]["environment"]["PENSTOCK_HEALTH_PORT"]
        (found,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", text)
        assert found[0] == port, name
        asked.add(found[1])
    for item in kustomize("base"):
        if item["kind"] != "Deployment":
            continue
        (container,) = item["spec"]["template"]["spec"]["containers"]
        told = {pair["name"]: pair.get("value") for pair in container["env"]}
        (health,) = [p["containerPort"] for p in container["ports"] if p["name"] == "health"]
        assert told["PENSTOCK_HEALTH_PORT"] == str(health)
        assert told["PENSTOCK_HEALTH_HOST"] == "0.0.0.0"
        probes = [probe for key, probe in container.items() if key.endswith("Probe")]
        asked |= {probe["httpGet"]["path"] for probe in probes if "httpGet" in probe}
        annotations = item["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(health)
        asked.add(annotations["prometheus.io/path"])
    assert asked == PATHS
    server = await serve_health("127.0.0.1", 0, {})
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert {path: await _status(port, path) for path in asked} == dict.fromkeys(PATHS, 200)
        assert await _status(port, "/healthz") == 404


async def _status(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return int((await reader.read()).split()[1])
    finally:
        writer.close()
        await writer.wait_closed()
