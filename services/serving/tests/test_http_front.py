"""The HTTP front over a fake host: the protocol's paths, and clients that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from penstock_chassis.metrics import exposed, exposition
from penstock_serving.adapters.front import InferenceFront
from penstock_serving.adapters.http_messages import HttpLimits
from penstock_serving.oip import InferRequest
from penstock_serving.ports import EndpointKey, RevisionSpec
from penstock_serving.testing import CONTRACT_SIGNATURE, FakeModel, FakeModelHost
from penstock_serving.testing.http_client import HttpClient, encode_post

BASE = "/team/delays"
INFER = f"{BASE}/v2/models/delays/infer"
KEY = EndpointKey("team", "delays")
LIMITS = HttpLimits(
    max_head_bytes=4096,
    max_body_bytes=64 * 1024,
    max_pipelined=4,
    request_seconds=0.2,
    idle_seconds=60.0,
)


def body(*values: Any, **more: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values)], "data": list(values)}
    return {"inputs": [tensor], **more}


def doubled(request: InferRequest) -> list[list[float]]:
    return [[value * 2 for value in request.columns[0]]]


def spec(revision: int, endpoint: str = "delays") -> RevisionSpec:
    return RevisionSpec("team", endpoint, revision, "delay", f"v{revision}", Path("model"))


@pytest.fixture
async def host() -> FakeModelHost:
    host = FakeModelHost(lambda _: FakeModel(CONTRACT_SIGNATURE, doubled))
    await host.start(spec(1))
    await host.route(KEY, spec(1).revision_id)
    return host


@pytest.fixture
async def front(host: FakeModelHost) -> AsyncIterator[InferenceFront]:
    front = InferenceFront(host, LIMITS)
    await front.listen()
    yield front
    await front.close(drain_seconds=0.0)


@pytest.fixture
async def connect(front: InferenceFront) -> AsyncIterator[Callable[[], Awaitable[HttpClient]]]:
    clients: list[HttpClient] = []

    async def connect() -> HttpClient:
        clients.append(await HttpClient.connect(front.base_url(KEY)))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Callable[[], Awaitable[HttpClient]]) -> HttpClient:
    return await connect()


async def test_every_path_of_the_protocol_answers(client: HttpClient) -> None:
    server = await client.get(f"{BASE}/v2")
    assert (server.status, server.json["name"]) == (200, "penstock")
    assert (await client.get(f"{BASE}/v2/health/live")).json == {"live": True}
    assert (await client.get(f"{BASE}/v2/health/ready")).json == {"ready": True}
    metadata = await client.get(f"{BASE}/v2/models/delays")
    assert metadata.json == {
        "name": "delays",
        "versions": ["v1"],
        "platform": "sklearn_joblib",
        "inputs": [{"name": "x", "datatype": "FP64", "shape": [-1]}],
        "outputs": [{"name": "prediction", "datatype": "FP64", "shape": [-1]}],
    }
    ready = await client.get(f"{BASE}/v2/models/delays/versions/v1/ready")
    assert ready.json == {"name": "delays", "ready": True}
    pinned = f"{BASE}/v2/models/delays/versions/v1/infer"
    for path in (INFER, pinned, f"{INFER}?trace=1"):
        answer = await client.post(path, body(1.5, 2.0, id="abc"))
        assert answer.status == 200
        assert answer.headers["penstock-revision"] == "1"
        assert answer.json == {
            "model_name": "delays",
            "model_version": "v1",
            "id": "abc",
            "outputs": [
                {"name": "prediction", "datatype": "FP64", "shape": [2], "data": [3.0, 4.0]}
            ],
        }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", "NAMESPACE/ENDPOINT"),
        ("/team/delays", "NAMESPACE/ENDPOINT"),
        (f"{BASE}/v2/nothing", "no such path"),
        (f"{BASE}/v2/models/other", "endpoint 'delays' serves one model under its own name"),
        (f"{BASE}/v2/models/delays/explain", "no such path"),
        ("/team/unknown/v2/models/unknown", "no endpoint 'unknown' in namespace 'team'"),
        ("/other/delays/v2/health/live", "no endpoint 'delays' in namespace 'other'"),
        (f"{BASE}/v2/models/delays/versions/v9/ready", "no version 'v9': v1"),
    ],
)
async def test_what_does_not_exist_is_404_and_the_message_helps(
    client: HttpClient, path: str, message: str
) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert message in answer.error


async def test_a_wrong_method_is_405_and_names_the_right_one(client: HttpClient) -> None:
    answer = await client.get(INFER)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_an_endpoint_without_a_ready_revision_is_503_with_retry_after(
    host: FakeModelHost, client: HttpClient
) -> None:
    host.loading.clear()
    loading = asyncio.create_task(host.start(spec(1, "slow")))
    await asyncio.sleep(0)
    answer = await client.post("/team/slow/v2/models/slow/infer", body(1))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.error == "endpoint 'slow' has no revision ready (revision 1 is loading)"
    assert (await client.get("/team/slow/v2/health/ready")).json == {"ready": False}
    assert (await client.get("/team/slow/v2/health/live")).status == 200
    host.loading.set()
    await loading


async def test_pipelined_requests_are_answered_in_order_and_bounded(
    host: FakeModelHost, client: HttpClient
) -> None:
    host.answering.clear()
    count = 3 * LIMITS.max_pipelined
    requests = [encode_post(INFER, body(n, id=str(n))) for n in range(count)]
    # A quick answer in the middle must wait for the slow ones before it.
    requests.insert(2, f"GET {BASE}/v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    await client.send(b"".join(requests))
    host.answering.set()
    answers = [await client.read() for _ in requests]
    assert answers.pop(2).json == {"live": True}
    assert [answer.json["id"] for answer in answers] == [str(n) for n in range(count)]


async def test_a_body_may_come_in_chunks_and_in_single_bytes(client: HttpClient) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    content = encode_post("", body(4)).split(b"\r\n\r\n")[1]
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content)
    for byte in head + chunks + b"0\r\nx-trailer: 1\r\n\r\n":
        await client.send(bytes([byte]))
    assert (await client.read()).json["outputs"][0]["data"] == [8.0]


async def test_expect_100_continue_is_answered_before_the_body(client: HttpClient) -> None:
    head, content = encode_post(INFER, body(4)).split(b"\r\n\r\n")
    await client.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.read()).status == 100
    await client.send(content)
    assert (await client.read()).json["outputs"][0]["data"] == [8.0]


async def test_http_1_0_is_answered_and_closed(client: HttpClient) -> None:
    await client.send(f"GET {BASE}/v2/health/live HTTP/1.0\r\n\r\n".encode())
    assert (await client.read()).json == {"live": True}
    assert await client.at_end()


POST = f"POST {INFER} HTTP/1.1\r\nHost: t\r\n"
MALFORMED: list[tuple[str, bytes, int]] = [
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01", 400),
    ("a length that is no number", f"{POST}Content-Length: ten\r\n\r\n".encode(), 400),
    ("a negative length", f"{POST}Content-Length: -1\r\n\r\n".encode(), 400),
    ("an endless length", f"{POST}Content-Length: {'9' * 40}\r\n\r\n".encode(), 400),
    ("two lengths", f"{POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab".encode(), 400),
    (
        "a length and chunks",
        f"{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        400,
    ),
    ("a bad chunk", f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), 400),
    ("a space in a header's name", f"{POST}Content Length: 1\r\n\r\n".encode(), 400),
    ("too large a body", f"{POST}Content-Length: 100000\r\n\r\n".encode(), 413),
    (
        "too large a body in chunks",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode() + b"8000\r\n%b\r\n" % bytes(32768) * 3,
        413,
    ),
    ("one huge header", f"{POST}X: {'a' * 9000}\r\n\r\n".encode(), 431),
    ("a huge header without an end", f"{POST}X: {'a' * 90_000}".encode(), 431),
    ("many headers", (POST + "X: a\r\n" * 2000 + "\r\n").encode(), 431),
    ("a long URL", f"GET /{'a' * 9000} HTTP/1.1\r\n\r\n".encode(), 414),
    ("another expectation", f"{POST}Expect: money\r\nContent-Length: 1\r\n\r\na".encode(), 417),
    ("another version of HTTP", b"GET / HTTP/2.0\r\n\r\n", 505),
    ("half a request, and then nothing", POST.encode(), 408),
]


@pytest.mark.parametrize(
    ("data", "status"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED]
)
async def test_a_malformed_request_is_answered_clearly_and_its_connection_closed(
    connect: Callable[[], Awaitable[HttpClient]], data: bytes, status: int
) -> None:
    bystander, offender = await connect(), await connect()
    # The request before it on the same connection still gets its answer, first.
    await offender.send(encode_post(INFER, body(1)) + data)
    assert (await offender.read()).status == 200
    answer = await offender.read()
    assert answer.status == status
    assert answer.error
    assert answer.headers["connection"] == "close"
    assert await offender.at_end()
    assert (await bystander.post(INFER, body(2))).status == 200


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"inputs": []}', 400, '"inputs" must be a list'),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 5000, 400, "not JSON"),
    ],
)
async def test_a_bad_body_is_400_and_the_connection_goes_on(
    client: HttpClient, content: bytes, status: int, message: str
) -> None:
    answer = await client.post(INFER, content)
    assert answer.status == status
    assert message in answer.error
    assert (await client.post(INFER, body(2))).status == 200


async def test_what_is_not_spoken_is_501(client: HttpClient) -> None:
    head, content = encode_post(INFER, body(4)).split(b"\r\n\r\n")
    for header in (b"Content-Encoding: gzip", b"Inference-Header-Content-Length: 5"):
        await client.send(head + b"\r\n" + header + b"\r\n\r\n" + content)
        answer = await client.read()
        assert (answer.status, "not supported" in answer.error) == (501, True)


PIECES = [
    *(POST.encode(), b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"\r\n\r\n", b"\x00", b"{}"),
    *(b"Content-Length: 3\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
    b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_any_bytes_get_a_4xx_or_a_close_and_disturb_nobody(data: st.DataObject) -> None:
    sent = b"".join(
        data.draw(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12))
    )

    async def run() -> None:
        host = FakeModelHost(lambda _: FakeModel(CONTRACT_SIGNATURE, doubled))
        await host.start(spec(1))
        await host.route(KEY, spec(1).revision_id)
        front = InferenceFront(host, LIMITS)
        origin = await front.listen()
        offender, bystander = await HttpClient.connect(origin), await HttpClient.connect(origin)
        await offender.send(sent)
        offender.end()
        while answer := await offender.read_or_end():
            assert answer.status == 100 or 400 <= answer.status < 500 or answer.status == 505
        assert (await bystander.post(INFER, body(2))).status == 200
        await offender.close()
        await bystander.close()
        await front.close(drain_seconds=5.0)

    asyncio.run(run())


async def test_closing_answers_what_was_taken_and_closes_idle_connections(
    host: FakeModelHost, front: InferenceFront, connect: Callable[[], Awaitable[HttpClient]]
) -> None:
    idle, busy = await connect(), await connect()
    assert (await idle.post(INFER, body(1))).status == 200
    assert (await busy.post(INFER, body(1))).status == 200
    host.answering.clear()
    host.taken.clear()
    await busy.send(encode_post(INFER, body(21)))
    await host.taken.wait()
    closing = asyncio.create_task(front.close())
    assert await idle.at_end()
    assert not closing.done()
    host.answering.set()
    answer = await busy.read()
    assert answer.json["outputs"][0]["data"] == [42.0]
    assert answer.headers["connection"] == "close"
    await busy.close()
    await closing


async def test_a_client_that_goes_away_withdraws_its_request(
    host: FakeModelHost, front: InferenceFront, connect: Callable[[], Awaitable[HttpClient]]
) -> None:
    host.answering.clear()
    client = await connect()
    await client.send(encode_post(INFER, body(1)))
    await host.taken.wait()
    assert b"requests_in_flight 1.0" in generate_latest(front.metrics)
    client.abort()
    await host.withdrawn.wait()
    assert b"requests_in_flight 0.0" in generate_latest(front.metrics)
    assert (await host.state()).revisions["team/delays/1"].waiting == 0


async def test_metrics_count_by_endpoint_and_code_and_never_by_invented_names(
    front: InferenceFront, client: HttpClient
) -> None:
    await client.post(INFER, body(1))
    await client.post(INFER, b"{")
    await client.get("/invented/name/v2/health/live")
    await client.post("/invented/name/v2/models/name/infer", body(1))
    text = generate_latest(front.metrics).decode()
    counter = "penstock_inference_requests_total"
    assert f'{counter}{{code="200",endpoint="delays",namespace="team"}} 1.0' in text
    assert f'{counter}{{code="400",endpoint="delays",namespace="team"}} 1.0' in text
    assert f'{counter}{{code="404",endpoint="",namespace=""}} 2.0' in text
    assert "invented" not in text
    count = 'penstock_inference_request_seconds_count{endpoint="delays",namespace="team"}'
    assert f"{count} 1.0" in text


def test_the_series_of_a_front_are_those_of_its_process_while_it_runs() -> None:
    front = InferenceFront(FakeModelHost(lambda _: FakeModel(CONTRACT_SIGNATURE)))
    with exposed(front.metrics):
        assert b"penstock_inference_requests_in_flight 0.0" in exposition()
    assert b"penstock_inference" not in exposition()
