"""Real models in real processes behind the real front."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock_serving.adapters.front import InferenceFront
from penstock_serving.adapters.host import ProcessModelHost
from penstock_serving.adapters.revision import WorkerLimits
from penstock_serving.adapters.worker_template import WorkerTemplate, worker_environment
from penstock_serving.ports import EndpointKey, Phase, RevisionSpec
from penstock_serving.testing.http_client import Answer, HttpClient
from penstock_serving.testing.models import (
    FLIGHT_INPUTS,
    Trained,
    Unlucky,
    flights,
    infer_body,
    write_unlucky_model,
)

KEY = EndpointKey("team", "delays")
PATH = "/team/delays/v2/models/delays/infer"
CLIENTS = 8


def spec(revision: int, folder: Path) -> RevisionSpec:
    return RevisionSpec("team", "delays", revision, "delay", f"v{revision}", folder)


@pytest.fixture
async def host(template: WorkerTemplate) -> AsyncIterator[ProcessModelHost]:
    host = ProcessModelHost(template, WorkerLimits(batch_seconds=10.0))
    yield host
    await host.close()


@pytest.fixture
async def front(host: ProcessModelHost) -> AsyncIterator[InferenceFront]:
    front = InferenceFront(host)
    await front.listen()
    yield front
    await front.close(drain_seconds=0.0)


@pytest.fixture
async def client(front: InferenceFront) -> AsyncIterator[HttpClient]:
    client = await HttpClient.connect(front.base_url(KEY))
    yield client
    await client.close()


async def serve(host: ProcessModelHost, revision: RevisionSpec) -> None:
    await host.start(revision)
    await host.route(KEY, revision.revision_id)


async def worker_pid(host: ProcessModelHost, revision: RevisionSpec) -> int:
    pid = (await host.state()).revisions[revision.revision_id].worker_pid
    assert pid is not None
    return pid


class Askers:
    """Clients that ask without a pause on keep-alive connections until told to stop."""

    def __init__(self, front: InferenceFront, body: dict[str, Any]) -> None:
        self.answers: list[Answer] = []
        self._body = body
        self._stopping = False
        self._progress = asyncio.Condition()
        self._tasks = [asyncio.create_task(self._ask(front)) for _ in range(CLIENTS)]

    async def _ask(self, front: InferenceFront) -> None:
        client = await HttpClient.connect(front.base_url(KEY))
        while not self._stopping:
            # Raises where there is no answer: an unanswered request is a failed test.
            answer = await client.post(PATH, self._body)
            async with self._progress:
                self.answers.append(answer)
                self._progress.notify_all()
        await client.close()

    async def more(self, count: int) -> None:
        """Wait for so many further answers."""
        goal = len(self.answers) + count
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.answers) >= goal)

    async def stop(self) -> list[Answer]:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        return self.answers


@pytest.mark.parametrize("kind", ["boosting", "regression"])
async def test_predictions_over_http_equal_those_offline_bit_for_bit(
    host: ProcessModelHost, client: HttpClient, request: pytest.FixtureRequest, kind: str
) -> None:
    trained: Trained = request.getfixturevalue(kind)
    await serve(host, spec(1, trained.folder))
    for rows in (1, 7, 200):
        frame = flights(rows, seed=rows)
        answer = await client.post(PATH, infer_body(frame, FLIGHT_INPUTS))
        assert answer.status == 200, answer.body
        outputs = {output["name"]: output for output in answer.json["outputs"]}
        offline = trained.estimator.predict_proba(frame)[:, 1]
        assert np.array(outputs["probability"]["data"]).tobytes() == offline.tobytes()
        assert outputs["label"]["data"] == trained.estimator.predict(frame).tolist()
        assert outputs["label"]["shape"] == [rows]
    only_label = infer_body(frame, FLIGHT_INPUTS, outputs=[{"name": "label"}])
    answer = await client.post(PATH, only_label)
    assert [output["name"] for output in answer.json["outputs"]] == ["label"]
    assert answer.json["outputs"][0]["data"] == trained.estimator.predict(frame).tolist()


async def test_missing_values_of_every_kind_reach_the_model_as_offline(
    host: ProcessModelHost, client: HttpClient, boosting: Trained
) -> None:
    await serve(host, spec(1, boosting.folder))
    frame = flights(2, seed=3)
    frame["distance"] = [np.nan, 100.0]
    frame["carrier"] = pd.Series([None, "never seen"], dtype=object)
    answer = await client.post(PATH, infer_body(frame, FLIGHT_INPUTS))
    offline = boosting.estimator.predict_proba(frame)[:, 1]
    assert answer.json["outputs"][0]["data"] == offline.tolist()


async def test_ten_switches_under_load_lose_no_request(
    host: ProcessModelHost, front: InferenceFront, boosting: Trained, regression: Trained
) -> None:
    frame = flights(1, seed=5)
    offline = [t.estimator.predict_proba(frame)[0, 1] for t in (boosting, regression)]
    await serve(host, spec(0, boosting.folder))
    askers = Askers(front, infer_body(frame, FLIGHT_INPUTS))
    for number in range(1, 11):
        await askers.more(2 * CLIENTS)
        folder = (boosting, regression)[number % 2].folder
        await serve(host, spec(number, folder))
        await host.stop(spec(number - 1, folder).revision_id)
    await askers.more(2 * CLIENTS)
    answers = await askers.stop()
    assert {answer.status for answer in answers} == {200}
    for answer in answers:
        revision = int(answer.headers["penstock-revision"])
        assert answer.json["model_version"] == f"v{revision}"
        assert answer.json["outputs"][0]["data"] == [offline[revision % 2]]
    assert {answer.headers["penstock-revision"] for answer in answers} == set(map(str, range(11)))
    assert list((await host.state()).revisions) == ["team/delays/10"]


async def test_a_worker_killed_five_times_under_load_loses_no_request(
    host: ProcessModelHost, front: InferenceFront, boosting: Trained
) -> None:
    revision = spec(1, boosting.folder)
    await serve(host, revision)
    frame = flights(1, seed=5)
    askers = Askers(front, infer_body(frame, FLIGHT_INPUTS))
    killed = set()
    for _ in range(5):
        await askers.more(3 * CLIENTS)
        killed.add(pid := await worker_pid(host, revision))
        os.kill(pid, signal.SIGKILL)
    await askers.more(3 * CLIENTS)
    answers = await askers.stop()
    assert {answer.status for answer in answers} == {200}
    expected = boosting.estimator.predict_proba(frame)[0, 1]
    assert {answer.json["outputs"][0]["data"][0] for answer in answers} == {expected}
    assert len(killed) == 5
    assert (await host.state()).revisions[revision.revision_id].restarts == 5


async def test_the_template_killed_under_load_loses_no_request(
    front: InferenceFront, template: WorkerTemplate, host: ProcessModelHost, boosting: Trained
) -> None:
    await serve(host, spec(1, boosting.folder))
    askers = Askers(front, infer_body(flights(1, seed=5), FLIGHT_INPUTS))
    await askers.more(CLIENTS)
    assert template.pid is not None
    os.kill(template.pid, signal.SIGKILL)  # every worker dies with it
    await askers.more(4 * CLIENTS)
    assert {answer.status for answer in await askers.stop()} == {200}


def one(value: float) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [value]}]}


async def test_poison_input_is_given_up_after_two_replays_and_harms_only_itself(
    host: ProcessModelHost, front: InferenceFront, tmp_path: Path
) -> None:
    revision = spec(1, write_unlucky_model(tmp_path))
    await serve(host, revision)
    clients = [await HttpClient.connect(front.base_url(KEY)) for _ in range(6)]
    bodies = [one(value) for value in (1.0, 2.0, Unlucky.DIES, Unlucky.RAISES, 4.0, 5.0)]
    asked = zip(clients, bodies, strict=True)
    answers = await asyncio.gather(*(client.post(PATH, body) for client, body in asked))
    assert [answer.status for answer in answers] == [200, 200, 500, 500, 200, 200]
    assert "died 3 times while it had this input" in answers[2].error
    assert answers[3].error == "the model raised ValueError: 13 brings bad luck"
    assert (await host.state()).revisions[revision.revision_id].restarts == 3
    for client in clients:
        await client.close()


async def test_a_model_that_hangs_is_killed_and_its_request_answered(
    template: WorkerTemplate, tmp_path: Path
) -> None:
    host = ProcessModelHost(template, WorkerLimits(batch_seconds=0.2))
    front = InferenceFront(host)
    client = await HttpClient.connect(await front.listen())
    await serve(host, spec(1, write_unlucky_model(tmp_path)))
    answer = await client.post(PATH, one(Unlucky.HANGS))
    assert (answer.status, answer.error) == (500, "the model gave no answer in 0.2 s")
    assert (await client.post(PATH, one(1.0))).status == 200
    await client.close()
    await front.close()
    await host.close()


async def test_a_full_queue_is_429_at_once(
    template: WorkerTemplate, constant_model: Callable[[int], Path]
) -> None:
    host = ProcessModelHost(template, WorkerLimits(max_waiting_requests=2))
    front = InferenceFront(host)
    origin = await front.listen()
    await serve(host, spec(1, constant_model(1)))
    pid = await worker_pid(host, spec(1, constant_model(1)))
    os.kill(pid, signal.SIGSTOP)
    clients = [await HttpClient.connect(origin) for _ in range(3)]
    asked = [asyncio.create_task(client.post(PATH, one(1.0))) for client in clients]
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    refused = [task.result() for task in done]
    assert [answer.status for answer in refused] == [429]
    assert refused[0].headers["retry-after"] == "1"
    os.kill(pid, signal.SIGCONT)
    assert sorted([(await task).status for task in asked]) == [200, 200, 429]
    for client in clients:
        await client.close()
    await front.close()
    await host.close()


async def test_a_model_lost_from_disk_is_reported_and_served_again_when_it_is_back(
    template: WorkerTemplate, tmp_path: Path
) -> None:
    limits = WorkerLimits(backoff_seconds=0.01, max_backoff_seconds=0.05, reload_attempts=2)
    host = ProcessModelHost(template, limits)
    front = InferenceFront(host)
    client = await HttpClient.connect(await front.listen())
    revision = spec(1, write_unlucky_model(tmp_path / "here"))
    await serve(host, revision)
    (tmp_path / "here").rename(tmp_path / "away")
    os.kill(await worker_pid(host, revision), signal.SIGKILL)
    refused = await client.post(PATH, one(1.0))
    assert refused.status == 503
    assert "no readable signature.json" in refused.error
    (tmp_path / "away").rename(tmp_path / "here")
    # Asking is the only way to know: nothing tells a client when a revision is back.
    while (await client.get("/team/delays/v2/health/ready")).status == 503:
        pass
    assert (await client.post(PATH, one(1.0))).status == 200
    assert (await host.state()).revisions[revision.revision_id].phase is Phase.READY
    await client.close()
    await front.close()
    await host.close()


async def test_a_host_that_closes_leaves_no_process(
    constant_model: Callable[[int], Path],
) -> None:
    host = ProcessModelHost()
    await host.start(spec(1, constant_model(1)))
    pid = await worker_pid(host, spec(1, constant_model(1)))
    await host.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_do_not_outlive_a_service_that_is_killed(
    constant_model: Callable[[int], Path],
) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from penstock_serving.adapters.host import ProcessModelHost\n"
        "from penstock_serving.ports import RevisionSpec\n"
        "async def main():\n"
        "    host = ProcessModelHost()\n"
        "    await host.start(RevisionSpec('a', 'b', 1, 'm', '1', Path(sys.argv[1])))\n"
        "    print((await host.state()).revisions['a/b/1'].worker_pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(constant_model(1))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        worker = os.pidfd_open(int(service.stdout.readline()))
        service.kill()
        ended, _, _ = select.select([worker], [], [], 10.0)
        assert ended == [worker]
        os.close(worker)


async def test_the_template_has_one_thread_so_that_forking_it_is_safe(
    host: ProcessModelHost, template: WorkerTemplate, constant_model: Callable[[int], Path]
) -> None:
    await host.start(spec(1, constant_model(1)))
    assert len(os.listdir(f"/proc/{template.pid}/task")) == 1  # noqa: PTH208 one system call


def test_a_worker_sees_no_credentials_of_the_service() -> None:
    seen = worker_environment({"PATH": "/bin", "PENSTOCK_S3_SECRET_KEY": "s", "HOME": "/h"})
    assert {"PATH", "HOME", "OMP_NUM_THREADS"} <= set(seen)
    assert "PENSTOCK_S3_SECRET_KEY" not in seen
