"""Reading over HTTP: rows, the past, lineage, jobs from inside, the log and its trees."""

from typing import Any

import pytest

from penstock_chassis.message import Cause
from penstock_chassis.ports import Message
from penstock_gateway.domain.projected import Batch
from penstock_gateway.domain.read_model import RowKey
from penstock_gateway.nouns import VIEWS
from penstock_schemas import DatasetRegistered, Lineage, QueueRequested

from .test_http_triggers import judged

JOB = "0190c2a4-7b1e-7c30-8f00-00000000a001"


async def test_the_platform_tells_where_it_is(api: Any) -> None:
    sequence = await api.append("queue.requested")
    await judged(api)
    found = await api.get("/v1/platform")
    assert found["position"] == sequence
    assert found["serving_url"] == "http://127.0.0.1:7361"
    assert found["gateway_url"] == "http://localhost"
    assert found["services"]["gateway"]["ready"] is True
    assert (await api.get("/livez")) == {"live": True}
    assert (await api.get("/readyz"))["ready"] is True
    assert "penstock_events_handled_total" in (await api.client.get("/metrics")).text
    assert "/v1/platform" in (await api.client.get("/")).text
    services = (await api.get("/v1/service"))["items"]
    assert {"name", "ready", "pending", "position"} <= set(services[0])


async def test_the_address_of_the_bus_is_told_without_its_password(api: Any) -> None:
    object.__setattr__(api.settings, "nats_url", "nats://me:secret@a:1, nats://b:2")
    assert (await api.get("/v1/platform"))["nats_url"] == "nats://a:1,nats://b:2"


@pytest.mark.parametrize("noun", sorted(VIEWS))
async def test_every_noun_can_be_listed_and_shown(api: Any, noun: str) -> None:
    assert await api.get(f"/v1/vision/{noun}") == {
        "items": [],
        "position": 0,
        "at": None,
        "next": None,
    }
    first = next(iter(VIEWS[noun].rules))
    sequence = await api.append(first.type)
    listed = await api.get(f"/v1/vision/{noun}")
    (row,) = listed["items"]
    assert listed["position"] == row["sequence"] == sequence
    assert (row["namespace"], row["id"]) == ("vision", first.example[first.key])
    assert await api.get(f"/v1/vision/{noun}/{row['id']}") == row
    assert await api.get(f"/v1/-/{noun}/{row['id']}") == row
    assert (await api.get("/v1/audio/" + noun))["items"] == []
    assert (await api.get("/v1/-/" + noun))["items"] == [row]


async def test_lists_are_filtered_by_columns_and_paged_newest_first(api: Any) -> None:
    for number in range(25):
        await api.append(QueueRequested(queue=f"q-{number}"))
    await api.append("queue.configured", queue="q-7", cpu_quota=3)
    seen: list[str] = []
    cursor = None
    while True:
        page = await api.get("/v1/vision/queue", limit=10, **({"cursor": cursor} if cursor else {}))
        seen += [row["id"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"q-{number}" for number in reversed(range(25))]
    configured = (await api.get("/v1/vision/queue", status="configured"))["items"]
    assert [row["id"] for row in configured] == ["q-7"]
    assert len((await api.get("/v1/vision/queue", cpu_quota="3"))["items"]) == 1
    assert len((await api.get("/v1/vision/queue", cpu_quota=""))["items"]) == 24


async def test_the_past_is_shown_as_it_was(api: Any) -> None:
    await api.append("job.requested")
    before = await api.get("/v1/vision/job")
    time = before["items"][0]["created_at"]
    await api.append("job.queued")
    await api.append("queue.requested")
    past = await api.get("/v1/vision/job", at=time)
    assert past["items"] == before["items"]
    assert (past["position"], past["at"]) == (1, time)
    assert (await api.get(f"/v1/vision/job/{JOB}", at=time))["status"] == "requested"
    assert (await api.get(f"/v1/vision/job/{JOB}"))["status"] == "queued"


async def test_an_absence_says_which_kind_it_is(api: Any, problem: Any) -> None:
    await api.append("queue.requested")
    await api.append("job.requested")
    never = problem(await api.client.get("/v1/vision/job/nothing"), 404, "id")
    assert "never been a job" in never["detail"]
    early = problem(
        await api.client.get(f"/v1/vision/job/{JOB}", params={"at": "2020-01-01T00:00:00Z"}), 404
    )
    assert "not yet born" in early["detail"]
    assert "noun" in problem(await api.client.get("/v1/vision/nothing"), 404, "noun")["detail"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/Vision/job", "namespace"),
        ("/v1/a.b/job", "namespace"),
        ("/v1/*/job", "namespace"),
        ("/v1/%3E/job", "namespace"),
        ("/v1/a%0Ab/job", "namespace"),
        ("/v1/vision/job/a.b", "id"),
        ("/v1/vision/job/*", "id"),
        ("/v1/vision/job/%3E", "id"),
        ("/v1/vision/job/" + "x" * 64, "id"),
        ("/v1/vision/job/a%00b", "id"),
        ("/v1/vision/job/*/why", "id"),
        ("/v1/vision/job/%3E/logs", "id"),
        ("/v1/vision/job?limit=0", "limit"),
        ("/v1/vision/job?limit=1001", "limit"),
        ("/v1/vision/job?limit=-1", "limit"),
        ("/v1/vision/job?limit=" + "9" * 5000, "limit"),
        ("/v1/vision/job?cursor=x", "cursor"),
        ("/v1/vision/job?at=yesterday", "at"),
        ("/v1/vision/job?at=0001-01-01T00:00:00%2B23:59", "at"),
        ("/v1/vision/job?colour=red", "colour"),
        ("/v1/vision/event?type=a.b.c", "type"),
        ("/v1/vision/event?type=%3E", "type"),
        ("/v1/vision/event?id=%3E", "id"),
        ("/v1/vision/event?after=-1", "after"),
        ("/v1/vision/event?since=never", "since"),
        ("/v1/vision/event/stream?after=x", "after"),
        ("/v1/vision/event/stream?type=..", "type"),
        ("/v1/-/object?uri=s3://b/vision/x", "namespace"),
    ],
)
async def test_bad_parameters_are_refused_by_name(
    api: Any, problem: Any, path: str, field: str
) -> None:
    problem(await api.client.get(path), 400, field)


async def test_what_is_not_there_and_what_is_not_possible_are_problems(
    api: Any, problem: Any
) -> None:
    problem(await api.client.get("/nothing/at/all/here"), 404)
    problem(await api.client.post("/v1/vision/node"), 405)
    problem(await api.client.delete("/livez"), 405)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "x@y:1:2"])
async def test_other_host_names_are_refused(api: Any, problem: Any, host: str) -> None:
    problem(await api.client.get("/v1/platform", headers={"host": host}), 403, "host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:7360", "LOCALHOST:1", "[::1]:7360"])
async def test_loopback_names_are_allowed_on_any_port(api: Any, host: str) -> None:
    assert (await api.client.get("/livez", headers={"host": host})).status_code == 200


async def test_pages_of_other_sites_are_refused(api: Any, problem: Any) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:3000", "file://localhost"):
        answer = await api.client.post("/v1/vision/event", headers={"origin": origin}, json={})
        problem(answer, 403, "origin")
    ours = await api.client.get("/livez", headers={"origin": "http://localhost"})
    assert ours.status_code == 200


async def test_a_job_says_why_it_is_where_it_is(api: Any) -> None:
    await api.append("job.requested")
    await api.append("job.queued")
    found = await api.get(f"/v1/vision/job/{JOB}/why")
    assert found["status"] == "queued"
    assert found["sentence"] == f"job {JOB} waits in queue default: needs 1 CPU; 0 are free"
    assert [event["type"] for event in found["events"]] == ["job.requested", "job.queued"]
    assert found["events"][1]["reason"] == "needs 1 CPU; 0 are free"


async def test_a_job_shows_its_metrics_and_its_log(api: Any) -> None:
    await api.append("job.requested")
    metric, log = f"telemetry.vision.job.metric.{JOB}", f"telemetry.vision.job.log.{JOB}"
    await api.ports.telemetry.publish(metric, b'{"step": 1, "time": 5, "metrics": {"a": 2}}', "1")
    await api.ports.telemetry.publish(metric, b"not json", "2")
    await api.ports.telemetry.publish(log, b"first\nsecond", "3")
    await api.ports.telemetry.publish(log, b"third\n", "4")
    await api.ports.telemetry.publish(f"telemetry.audio.job.log.{JOB}", b"secret", "5")
    (point,) = (await api.get(f"/v1/vision/job/{JOB}/metrics"))["points"]
    assert (point["step"], point["time"], point["metrics"]) == (1, 5, {"a": 2})
    text = await api.client.get(f"/v1/-/job/{JOB}/logs")
    assert text.text == "first\nsecond\nthird\n"
    assert text.headers["content-type"].startswith("text/plain")


async def test_lineage_leads_from_the_dataset_to_the_endpoint(api: Any) -> None:
    trial, experiment = "flights-1-4", "flights-1"
    digest = "blake3:" + "9f" * 32
    manifest = DatasetRegistered.example["manifest"] | {"digest": "blake3:" + "ab" * 32}
    await api.append("dataset.registered", manifest=manifest)
    await api.append("features.materialized")
    await api.append("experiment.requested")
    await api.append("trial.started")
    await api.append("job.requested")
    made = Lineage(job=JOB, trial=trial, experiment=experiment, inputs={"training": digest})
    await api.append("model.registered", model_version=3, lineage=made.model_dump())
    await api.append("endpoint.requested")
    await api.append("rollout.started")
    await api.append("rollout.completed")
    found = await api.get("/v1/vision/model/flight-lateness/lineage")
    names = {node["id"]: node["noun"] for node in found["nodes"]}
    edges = {(names[cause], names[effect]) for cause, effect in found["edges"]}
    assert edges == {
        ("dataset", "features"),
        ("features", "experiment"),
        ("experiment", "trial"),
        ("trial", "job"),
        ("job", "model"),
        ("model", "endpoint"),
    }
    labels = {node["label"] for node in found["nodes"]}
    assert {"flight-lateness version 3", "flight-lateness revision 2", "flights abababab"} <= labels


async def test_the_log_is_read_by_type_thing_place_and_time(api: Any) -> None:
    await api.append("job.requested")
    await api.append("queue.requested", namespace="audio")
    await api.append("job.queued")
    everything = await api.get("/v1/-/event")
    assert [item["sequence"] for item in everything["items"]] == [1, 2, 3]
    assert everything["position"] == 3
    assert [i["type"] for i in (await api.get("/v1/vision/event"))["items"]] == [
        "job.requested",
        "job.queued",
    ]
    for pattern in ("job", "job.*", "*.queued", "*", "job.queued"):
        items = (await api.get("/v1/vision/event", type=pattern, after=1))["items"]
        assert [item["type"] for item in items] == ["job.queued"], pattern
    assert len((await api.get("/v1/-/event", id=JOB))["items"]) == 2
    page = await api.get("/v1/-/event", limit=2)
    assert page["position"] == 2
    assert len((await api.get("/v1/-/event", after=page["position"]))["items"]) == 1
    since = everything["items"][1]["time"]
    assert len((await api.get("/v1/-/event", since=since))["items"]) == 2
    assert len((await api.get("/v1/-/event", since=since, after=2))["items"]) == 1
    assert (await api.get("/v1/-/event", since="2100-01-01T00:00:00Z"))["items"] == []


async def test_an_event_carries_its_whole_envelope(api: Any) -> None:
    await api.append("job.queued", cause=Cause("cause", "vision", "story"))
    event = await api.get("/v1/vision/event/event-1")
    assert event["data"]["reason"] == "needs 1 CPU; 0 are free"
    assert {k: v for k, v in event.items() if k not in ("data", "time")} == {
        "sequence": 1,
        "id": "event-1",
        "type": "job.queued",
        "version": 1,
        "namespace": "vision",
        "subject_id": JOB,
        "source": "test",
        "correlation_id": "story",
        "causation_id": "cause",
    }
    assert await api.get("/v1/-/event/1") == event


async def test_an_event_that_nobody_can_read_is_shown_with_its_problem(api: Any) -> None:
    api.world.append(Message("penstock.vision.job.requested.x", b"{", {"ce-id": "bad"}, "1"))
    api.world.append(Message("penstock.vision.odd", b"", {}, "2"))
    first, second = (await api.get("/v1/-/event"))["items"]
    assert (first["id"], first["type"], first["subject_id"]) == ("bad", "job.requested", "x")
    assert "data" not in first
    assert "job.requested" in first["problem"]
    assert second["subject"] == "penstock.vision.odd"
    assert "5 tokens" in second["problem"]
    assert (await api.get("/v1/vision/event/2"))["sequence"] == 2


async def test_a_tree_shows_what_led_where(api: Any) -> None:
    await api.append("dataset.requested")
    root = Cause("event-1", "vision", "event-1")
    await api.append("dataset.registered", cause=root)
    second = Cause("event-2", "vision", "event-1")
    await api.append("dataset.profiled", cause=second)
    await api.append("features.requested", cause=second)
    await api.append("queue.requested", namespace="audio", cause=second)
    await api.append("queue.requested")
    tree = await api.get("/v1/vision/event/event-3/tree")
    assert tree["event"]["id"] == "event-1"
    assert tree["complete"] is True
    (child,) = tree["children"]
    assert [node["event"]["id"] for node in child["children"]] == ["event-3", "event-4"]
    assert child["children"][0]["asked"] is True
    assert "asked" not in tree
    whole = await api.get("/v1/-/event/3/tree")
    assert len(whole["children"][0]["children"]) == 3


async def test_an_event_of_another_namespace_is_not_there(api: Any, problem: Any) -> None:
    await api.append("queue.requested")
    problem(await api.client.get("/v1/audio/event/event-1"), 404, "id")
    problem(await api.client.get("/v1/audio/event/1/tree"), 404, "id")
    for named in ("0", "99", "nothing", "9" * 400, "x" * 2000):
        problem(await api.client.get(f"/v1/-/event/{named}"), 404, "id")


async def test_projections_say_where_they_stand_and_what_they_hold(api: Any) -> None:
    sequence = await api.append("job.requested")
    await api.append("queue.requested")
    (rows,) = (await api.get("/v1/projection"))["items"]
    assert rows["name"] == "rows"
    assert rows["status"] == "following"
    assert rows["position"] == rows["head"] == sequence + 1
    assert rows["lag"] == 0
    assert rows["rows"] == 2
    assert rows["rows_by_noun"] == {"job": 1, "queue": 1}
    assert rows["rebuilding"] is False
    assert rows["version"]


async def test_a_rebuild_answers_that_nothing_differs_or_what_does(api: Any) -> None:
    await api.append("job.requested")
    before = await api.get("/v1/vision/job")
    done = (await api.client.post("/v1/projection/rebuild")).json()
    assert done["equal"] is True
    assert (done["rows"], done["events"], done["differences"]) == (1, 1, [])
    assert await api.get("/v1/vision/job") == before
    projector = api.context.reading.projector
    live = projector.standing
    (row,) = before["items"]
    key = RowKey("job", "vision", row["id"])
    wrong = Batch(live.position, live.time, live.mark, {key: {**row, "queue": "wrong"}}, [])
    await projector.store.commit(live, wrong)
    done = (await api.client.post("/v1/projection/rebuild")).json()
    assert done["equal"] is False
    assert done["different_rows"] == 1
    (difference,) = done["differences"]
    assert difference["columns"] == [{"column": "queue", "live": "wrong", "rebuilt": row["queue"]}]
    assert (await api.get("/v1/vision/job"))["items"] == before["items"]
