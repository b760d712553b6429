"""`penstock projection` and `client.projection` against a gateway in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import penstock as sdk
from penstock.testing import FakeGateway

Penstock = Callable[..., Any]
ROWS = {
    "name": "rows",
    "status": "following",
    "position": 1200,
    "time": "2026-11-24T10:00:00Z",
    "head": 1203,
    "lag": 3,
    "rows": 90,
    "rows_by_noun": {"job": 90},
    "generation": 1,
    "version": "abc",
    "rebuilding": False,
}
EQUAL = {
    "name": "rows",
    "equal": True,
    "position": 1203,
    "rows": 90,
    "events": 1201,
    "different_rows": 0,
    "different_events": 0,
    "differences": [],
    "seconds": 0.25,
}
DIFFERENCES = [
    {
        "noun": "job",
        "namespace": "vision",
        "id": "one",
        "problem": "columns differ",
        "columns": [{"column": "node", "live": "wrong", "rebuilt": "n1"}],
    },
    {
        "noun": "job",
        "namespace": "vision",
        "id": "two",
        "problem": "not in the live rows",
        "columns": [],
    },
]


def test_the_status_says_how_far_the_rows_are(gateway: FakeGateway, penstock: Penstock) -> None:
    gateway.answers["/v1/projection"] = {"items": [ROWS]}
    shown = penstock("projection", "status")
    assert shown.code == 0
    head, row = shown.out.splitlines()
    assert head.split() == ["name", "status", "position", "lag", "rows", "newest"]
    assert row.split()[:5] == ["rows", "following", "1200", "3", "90"]
    assert json.loads(penstock("projection", "status", "--json").out) == {"items": [ROWS]}


def test_a_rebuild_that_is_equal_ends_well(gateway: FakeGateway, penstock: Penstock) -> None:
    gateway.answers["/v1/projection/rebuild"] = EQUAL
    done = penstock("projection", "rebuild")
    assert done.code == 0
    assert done.err == "equal: 90 rows from 1201 events up to 1203, in 0.2 s\n"
    assert json.loads(penstock("projection", "rebuild", "--json").out) == EQUAL
    assert [method for method, path, *_ in gateway.requests if path.endswith("rebuild")] == [
        "POST",
        "POST",
    ]


def test_a_rebuild_that_differs_names_each_column_and_fails(
    gateway: FakeGateway, penstock: Penstock
) -> None:
    found = EQUAL | {"equal": False, "different_rows": 2, "differences": DIFFERENCES}
    gateway.answers["/v1/projection/rebuild"] = found
    done = penstock("projection", "rebuild")
    assert done.code == 1
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[1] == ["vision/job/one", "node", "wrong", "n1"]
    assert lines[2][:5] == ["vision/job/two", "not", "in", "the", "live"]
    assert "2 of 90 rows differed" in done.err
    assert penstock("projection", "rebuild", "--json").code == 1


def test_the_client_rebuilds_and_lists(gateway: FakeGateway) -> None:
    gateway.answers["/v1/projection"] = {"items": [ROWS]}
    gateway.answers["/v1/projection/rebuild"] = EQUAL
    with sdk.connect(gateway.url) as client:
        assert client.projection.list() == [ROWS]
        assert client.projection.rebuild(timeout_seconds=5) == EQUAL
