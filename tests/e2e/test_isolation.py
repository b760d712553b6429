"""No namespace reaches another's: each act, by each caller, at each door of one real platform.

A cell is one act on what belongs to `audio` by somebody who has no right there. Beside the cells
stand the controls: the very same act by those who have the right, so that no cell passes because
its request was malformed, and by those of `audio` itself who have too little.
"""

import asyncio
import base64
import io
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nats
import nkeys
import pytest
import pytest_asyncio
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error
from nats.aio.client import Client

from penstock.client.aio import AsyncClient
from penstock_chassis.adapters.nats.connection import connect_client
from penstock_chassis.adapters.nats.log import NatsLog
from penstock_chassis.adapters.nats.streams import EVENTS, ensure_streams
from penstock_chassis.embedded import DataDir, binaries, weed_command
from penstock_chassis.platform import UpOptions, running_platform
from penstock_chassis.settings import PlatformSettings
from penstock_schemas import (
    JobCancelRequested,
    JobRequested,
    ModelPromoted,
    ModelRegistered,
    Program,
)
from penstock_schemas.tokens import hash_of, make_token

sys.path.insert(0, str(Path(__file__).parent))
from iam_store import IamStore, free_ports, iam_store

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
MINE, OTHER, NEIGHBOUR = "vision", "audio", "audio-2"
ROLES = ("viewer", "editor", "admin")
JOB, MODEL = "theirs", "tones"
OPTIONS = UpOptions(services=("gateway", "scheduler", "trainer", "serving"))
ENDS_SECONDS = 30.0
POLL_SECONDS = 0.02
ANSWER_SECONDS = 5.0
"""Of the bus; it answers within milliseconds, but for a wish that found nobody."""
BYTES = b"of audio"

SERVERS = pytest.mark.parametrize("server", ["embedded", "exported"])
STRANGERS = ("no role", "no token", "expired token", "unknown token", "token of another namespace")
KEYLESS = ("no key", "revoked key", "unknown key")


@dataclass(frozen=True)
class Bus:
    """A server of the bus, as the platform sees it."""

    address: str
    """Host and port."""
    client: Client

    @property
    def log(self) -> NatsLog:
        return NatsLog(self.client, EVENTS)

    async def say(self, id: str) -> None:
        """An event of `audio`, for those who listen."""
        event = JobCancelRequested(job=id, reason="to be heard")
        await self.client.publish(str(event.subject(OTHER)), event.payload())


@dataclass
class World:
    """One platform, what belongs to `audio` on it, and whom it knows."""

    url: str
    serving_url: str
    admin: str
    """The token of the platform's administrator."""
    buses: dict[str, Bus]
    """The embedded one, and one of one's own with the accounts that were exported for it."""
    platform_user: Mapping[str, Any]
    tokens: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """By namespace and caller."""
    seeds: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """Of keys to the bus."""
    keys: dict[tuple[str, str, str], Minio] = field(default_factory=dict)
    """Clients of the object store, by server as well: the embedded one, and one of one's own with
    the policies that were exported for it."""
    store: str = ""
    """Host and port of the object store."""
    bucket: str = ""
    identities: Path = Path()
    """Of the embedded store."""
    object: dict[str, Any] = field(default_factory=dict)
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    count: int = 0

    def fresh(self, word: str) -> str:
        """A name that nothing has yet."""
        self.count += 1
        return f"{word}-{self.count}"

    async def events(self, id: str) -> int:
        """The last sequence of what is about a thing of `audio`, 0 for nothing."""
        return await self.buses["embedded"].log.head([f"penstock.{OTHER}.*.*.{id}"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    admin = make_token()
    with pytest.MonkeyPatch.context() as patched, DataDir.ephemeral() as directory:
        patched.setenv("PENSTOCK_AUTH", "tokens")
        patched.setenv("PENSTOCK_ADMIN_TOKEN_HASH", hash_of(admin))
        model = tmp_path_factory.mktemp("trained") / "model"
        # Beside the platform's start, in a process of its own: its imports take seconds.
        training = await asyncio.create_subprocess_exec(sys.executable, "-c", TRAINING, str(model))
        async with running_platform(directory, OPTIONS) as platform:
            assert await training.wait() == 0
            settings = platform.settings
            who, _, where = settings.nats_url.removeprefix("nats://").rpartition("@")
            user, _, password = who.partition(":")
            bus = await connect_client(settings.nats_url, "test")
            made = World(
                settings.gateway_url,
                settings.serving_url,
                admin,
                {"embedded": Bus(where, bus)},
                {"user": user, "pass": password},
                store=settings.objects_endpoint,
                identities=Path(settings.objects_sync_dir or "") / weed_command.IDENTITIES,
                bucket=settings.objects_bucket,
            )
            made.keys["embedded", "platform", "platform"] = at(
                settings.objects_endpoint,
                settings.objects_access_key,
                settings.objects_secret_key.get_secret_value(),
            )
            try:
                await asyncio.gather(
                    furnish(made, bus, admin, model),
                    enter(made, admin),
                )
                await settle(made)
                folder = tmp_path_factory.mktemp("exported")
                async with exported(made, folder) as made.buses["exported"]:
                    with iam_store(folder / "objects", made.bucket) as store:
                        await admit(made, store, folder / "policies")
                        yield made
            finally:
                await made.http.aclose()
                await bus.close()


TRAINING = """
import sys
import pandas
from pathlib import Path
from penstock.model_folder import save_model
from sklearn.linear_model import LinearRegression
example = pandas.DataFrame({"x": [1.0, 2.0, 3.0]})
save_model(Path(sys.argv[1]), LinearRegression().fit(example, [2.0, 4.0, 6.0]), example)
"""


async def furnish(world: World, bus: Any, admin: str, model: Path) -> None:
    """What there is in `audio`: a job, an object, an endpoint that answers."""
    async with AsyncClient(world.url, OTHER, token=admin) as client:
        program = Program(command=("{python}", "-c", "print(1)"))
        await client.publish(JobRequested(job=JOB, program=program))
        world.object = (await client.upload(_written(model.parent / "x", BYTES))).model_dump()
        names = ("model.joblib", "signature.json")
        artifact = await client.upload_files({f"model/{one}": model / one for one in names})
        registered = ModelRegistered(model=MODEL, model_version=1, artifact=artifact)
        promoted = ModelPromoted(
            model=MODEL, model_version=1, alias="champion", promotion="p", reason="the first"
        )
        for event in (registered, promoted):
            await bus.jetstream().publish(str(event.subject(OTHER)), event.payload())
        declared = await client.apply([{"kind": "endpoint", "name": MODEL, "model": MODEL}])
        assert not declared[0].problem
        await client.endpoint.wait(MODEL, timeout_seconds=ENDS_SECONDS)


async def enter(world: World, admin: str) -> None:
    """Tokens and keys of all callers."""
    ours = {f"{role}-of-{MINE}": role for role in ROLES}
    async with (
        AsyncClient(world.url, MINE, token=admin) as mine,
        AsyncClient(world.url, OTHER, token=admin) as other,
    ):
        theirs = {f"{role}-of-{OTHER}": role for role in ROLES}
        ours |= {f"admin-of-{OTHER}": "viewer", "gone": "editor"}
        [one, two] = await mine.apply(
            [
                {"kind": "namespace", "name": MINE, "members": ours},
                {"kind": "namespace", "name": OTHER, "members": {**theirs, "late": "admin"}},
            ]
        )
        assert not one.problem + two.problem
        for role in ROLES:
            for client, name in ((mine, MINE), (other, OTHER)):
                account = f"{role}-of-{name}"
                world.tokens[name, role] = await token(client, account, role)
        world.tokens[MINE, "no role"] = await token(mine, "gone", "editor")
        await mine.member.remove("gone")
        world.tokens[MINE, "no token"] = None
        world.tokens[MINE, "unknown token"] = make_token()
        world.tokens[MINE, "expired token"] = await token(other, "late", "admin", 1.0)
        # Its account is an admin of `audio`, but it is good in `vision` alone.
        reach = await token(mine, f"admin-of-{OTHER}", "viewer")
        world.tokens[MINE, "token of another namespace"] = reach
        for kind in ("nats", "s3"):
            for client, name in ((mine, MINE), (other, OTHER)):
                for role in ("viewer", "editor"):
                    keep(world, name, role, await client.credential.create(kind=kind, role=role))
            revoked = await mine.credential.create(kind=kind, role="editor")
            await mine.credential.revoke(revoked["credential"])
            keep(world, MINE, "revoked key", revoked)
    world.seeds[MINE, "no key"] = None
    world.seeds[MINE, "unknown key"] = bytes(
        nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    ).decode()
    world.keys["embedded", MINE, "no key"] = at(world.store)
    world.keys["embedded", MINE, "unknown key"] = at(world.store, "nobody", "x" * 40)


async def token(client: AsyncClient, account: str, role: str, seconds: float = 3600.0) -> str:
    made = await client.token.create(account=account, role=role, expires_days=seconds / 86_400)
    return str(made["secret"])


def keep(world: World, namespace: str, caller: str, made: Mapping[str, Any]) -> None:
    if "seed" in made:
        world.seeds[namespace, caller] = made["seed"]
        return
    world.keys["embedded", namespace, caller] = at(
        made["endpoint"], made["public_key"], made["secret_key"]
    )


def at(endpoint: str, access_key: str | None = None, secret_key: str | None = None) -> Minio:
    """A client of the object store."""
    return Minio(endpoint, access_key, secret_key, secure=False, region="us-east-1")


async def settle(world: World) -> None:
    """Wait until both servers know all keys (they follow the events), and a token has expired."""
    admin = world.keys["embedded", "platform", "platform"]
    for name in (OTHER, NEIGHBOUR):
        await asyncio.to_thread(put, admin, world.bucket, f"{name}/a")
    async with asyncio.timeout(ENDS_SECONDS):
        while not await known(world):  # noqa: ASYNC110 - the servers tell nobody
            await asyncio.sleep(POLL_SECONDS)


async def known(world: World) -> bool:
    """Whether what was given out counts, and what was taken back does not."""
    for namespace in (MINE, OTHER):
        for role in ("viewer", "editor"):
            if await at_store(world, "embedded", namespace, role, "list", namespace):
                return False
        # The server reloads twice, and between the two a wish finds nobody.
        bus = world.buses["embedded"]
        if "stream" not in await at_bus(world, bus, namespace, "editor", "publish", namespace):
            return False
    return (await at_api(world, MINE, "expired token", "list")).status_code == 401


@asynccontextmanager
async def exported(world: World, folder: Path) -> AsyncIterator[Bus]:
    """A nats-server that the platform did not start, with the accounts that it exports."""
    await penstock(world, "credential", "export", "nats", "--to", str(folder / "accounts.conf"))
    [port] = free_ports(1)
    config = _written(
        folder / "nats-server.conf",
        b'host: 127.0.0.1\nport: %d\njetstream { store_dir: "%s" }\ninclude "accounts.conf"\n'
        % (port, str(folder / "store").encode()),
    )
    process = await asyncio.create_subprocess_exec(
        binaries.find(binaries.NATS_SERVER), "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(ENDS_SECONDS):
            said = b""
            while b"Server is ready" not in said:
                line = await process.stderr.readline()
                assert line, said.decode()
                said += line
        user, password = world.platform_user["user"], world.platform_user["pass"]
        client = await connect_client(f"nats://{user}:{password}@127.0.0.1:{port}", "test")
        await ensure_streams(client, PlatformSettings())
        wish = JobRequested(job=JOB, program=Program(command=("true",)))
        await client.jetstream().publish(str(wish.subject(OTHER)), wish.payload())
        yield Bus(f"127.0.0.1:{port}", client)
        await client.close()
    finally:
        process.terminate()
        await process.communicate()


async def admit(world: World, store: IamStore, folder: Path) -> None:
    """Users of an S3 server that the platform did not start, with the policies that it exports."""
    await penstock(world, "credential", "export", "iam", "--to", str(folder))

    def give() -> None:
        world.keys["exported", "platform", "platform"] = store.admin
        for name in (MINE, OTHER, NEIGHBOUR):
            put(store.admin, world.bucket, f"{name}/a")
        for name in (MINE, OTHER):
            for role in ("viewer", "editor"):
                policy = json.loads((folder / f"penstock-{name}-{role}.json").read_text())
                keys = store.give(f"{name}-{role}", policy)
                world.keys["exported", name, role] = store.client(*keys)
        access_key, secret_key = store.give("revoked", policy)
        store.revoke("revoked", access_key)
        world.keys["exported", MINE, "revoked key"] = store.client(access_key, secret_key)
        world.keys["exported", MINE, "no key"] = at(store.endpoint)
        world.keys["exported", MINE, "unknown key"] = at(store.endpoint, "nobody", "x" * 40)

    await asyncio.to_thread(give)
    async with asyncio.timeout(ENDS_SECONDS):
        for name in (MINE, OTHER):
            for role in ("viewer", "editor"):
                while await at_store(world, "exported", name, role, "list", name):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)


async def penstock(world: World, *words: str) -> str:
    """The command line as the platform's administrator; its standard output."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("penstock")),
        *words,
        env={**os.environ, "PENSTOCK_URL": world.url, "PENSTOCK_TOKEN": world.admin},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return out.decode()


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- over HTTP ------------------------------------------------------------------------------------

Ask = Callable[[World, Mapping[str, str]], Awaitable[httpx.Response]]


def asking(method: str, path: str, **more: Any) -> Ask:
    async def ask(world: World, headers: Mapping[str, str]) -> httpx.Response:
        url = f"{world.url}/v1/{OTHER}{path}"
        return await world.http.request(method, url, headers=headers, **more)

    return ask


async def publish(world: World, headers: Mapping[str, str]) -> httpx.Response:
    id = world.fresh("published")
    body = {"type": "job.cancel-requested", "data": {"job": id, "reason": "asked for"}}
    answer = await asking("POST", "/event", json=body)(world, headers)
    assert bool(await world.events(id)) == answer.is_success
    return answer


async def write(world: World, headers: Mapping[str, str]) -> httpx.Response:
    id = world.fresh("written")
    wish = {"type": "job.requested", "data": {"job": "j", "program": {"command": ["true"]}}}
    body = {"on": "model.demoted", "do": wish, "paused": True}
    answer = await asking("PUT", f"/trigger/{id}/declaration", json=body)(world, headers)
    assert bool(await world.events(id)) == answer.is_success
    return answer


async def administer(world: World, headers: Mapping[str, str]) -> httpx.Response:
    id = world.fresh("added")
    answer = await asking("PUT", f"/member/{id}", json={"role": "viewer"})(world, headers)
    assert bool(await world.events(id)) == answer.is_success
    return answer


async def subscribe(world: World, headers: Mapping[str, str]) -> httpx.Response:
    """The answer of a stream, once it has said something."""
    url = f"{world.url}/v1/{OTHER}/event/stream"
    async with world.http.stream("GET", url, headers=headers, params={"after": 0}) as answer:
        said = b""
        async for chunk in answer.aiter_bytes():
            said += chunk
            if b"data: " in said:
                break
        assert (b"data: " in said) == answer.is_success
        return answer


async def download(world: World, headers: Mapping[str, str]) -> httpx.Response:
    params = {name: world.object[name] for name in ("uri", "digest", "size_bytes")}
    answer = await asking("GET", "/object", params=params)(world, headers)
    assert (answer.content == BYTES) == answer.is_success
    return answer


async def predict(world: World, headers: Mapping[str, str]) -> httpx.Response:
    tensor = {"name": "x", "datatype": "FP64", "shape": [1], "data": [2.0]}
    url = f"{world.serving_url}/{OTHER}/{MODEL}/v2/models/{MODEL}/infer"
    return await world.http.post(url, headers=headers, json={"inputs": [tensor]})


HTTP_ACTS: dict[str, tuple[Ask, str]] = {
    "read": (asking("GET", f"/job/{JOB}"), "viewer"),
    "list": (asking("GET", "/job"), "viewer"),
    "subscribe": (subscribe, "viewer"),
    "download": (download, "viewer"),
    "predict": (predict, "viewer"),
    "publish": (publish, "editor"),
    "write": (write, "editor"),
    "upload": (asking("POST", "/object", content=b"x"), "editor"),
    "administer": (administer, "admin"),
}
"""Each act with the least role that it takes."""


async def at_api(world: World, namespace: str, caller: str, act: str) -> httpx.Response:
    """The answer to an act on `audio` by a caller of a namespace."""
    bearer = world.tokens[namespace, caller]
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    return await HTTP_ACTS[act][0](world, headers)


@pytest.mark.parametrize("caller", [*ROLES, *STRANGERS])
@pytest.mark.parametrize("act", HTTP_ACTS)
async def test_over_http_nobody_acts_on_another_namespace(
    world: World, act: str, caller: str
) -> None:
    answer = await at_api(world, MINE, caller, act)
    known = caller in (*ROLES, "no role", "token of another namespace")
    assert answer.status_code == (404 if known else 401), answer.text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("act", HTTP_ACTS)
async def test_over_http_the_same_is_done_in_ones_own_by_those_who_may(
    world: World, act: str, role: str
) -> None:
    answer = await at_api(world, OTHER, role, act)
    may = ROLES.index(role) >= ROLES.index(HTTP_ACTS[act][1])
    assert answer.is_success if may else answer.status_code == 403, answer.text


# -- on the bus -----------------------------------------------------------------------------------

INBOX = "_INBOX.test"


def _request(subject: str, body: Any) -> bytes:
    payload = json.dumps(body).encode()
    return b"SUB %s 1\r\nPUB %s %s %d\r\n%s\r\n" % (
        INBOX.encode(),
        subject.encode(),
        INBOX.encode(),
        len(payload),
        payload,
    )


def subscribing(world: World, namespace: str) -> bytes:
    return b"SUB penstock.%s.> 1\r\n" % namespace.encode()


def publishing(world: World, namespace: str) -> bytes:
    id = world.fresh("by-bus")
    body = {"job": id, "reason": "asked for"}
    return _request(f"penstock.{namespace}.job.cancel-requested.{id}", body)


def api(verb: str, **body: Any) -> Callable[[World, str], bytes]:
    def asking(world: World, namespace: str) -> bytes:
        said = json.dumps(body).replace("NAMESPACE", namespace).replace("FRESH", world.fresh("c"))
        subject = verb.replace("FRESH", f"c-{world.count}")
        return _request(f"$JS.API.{subject}", json.loads(said))

    return asking


BUS_ACTS: dict[str, tuple[Callable[[World, str], bytes], tuple[str, ...]]] = {
    "subscribe": (subscribing, ("viewer", "editor")),
    "publish": (publishing, ("editor",)),
    "read": (
        api(f"STREAM.MSG.GET.{EVENTS}", last_by_subj=f"penstock.NAMESPACE.job.requested.{JOB}"),
        (),
    ),
    "list": (api(f"STREAM.INFO.{EVENTS}", subjects_filter="penstock.NAMESPACE.>"), ()),
    "write": (
        api(f"STREAM.PURGE.{EVENTS}", filter="penstock.NAMESPACE.job.cancel-requested.none"),
        (),
    ),
    "consume": (
        api(
            f"CONSUMER.CREATE.{EVENTS}.FRESH",
            stream_name=EVENTS,
            config={
                "name": "FRESH",
                "filter_subject": "penstock.NAMESPACE.>",
                "ack_policy": "none",
                "inactive_threshold": 1_000_000_000,
            },
        ),
        (),
    ),
}
"""Each act with the credentials that permit it in one's own namespace; the others are the
platform's alone."""


async def at_bus(
    world: World, bus: Bus, namespace: str, caller: str, act: str, target: str = OTHER
) -> str:
    """What the server says to an act on a namespace: `-ERR …`, or what comes of it.

    The protocol itself: nats-py leaves the socket of a connection that is refused open.
    """
    host, port = bus.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        nonce = json.loads((await reader.readline()).removeprefix(b"INFO "))["nonce"]
        options = {"verbose": False, **introduced(world, namespace, caller, nonce)}
        act_lines = BUS_ACTS[act][0](world, target)
        writer.write(b"CONNECT %s\r\n" % json.dumps(options).encode() + act_lines + b"PING\r\n")
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while not said.startswith((b"-ERR", b"MSG")):
                    line = await reader.readline()
                    if line.startswith(b"PONG") and act == "subscribe":
                        await bus.say(world.fresh("heard"))
                    if not line.startswith((b"PONG", b"PING")):
                        said += line
                said += await reader.readline()
        return said.decode()
    finally:
        writer.close()
        await writer.wait_closed()


def introduced(world: World, namespace: str, caller: str, nonce: str) -> Mapping[str, Any]:
    if caller == "platform":
        return world.platform_user
    seed = world.seeds[namespace, caller]
    if seed is None:
        return {}
    pair = nkeys.from_seed(bytearray(seed.encode()))
    signed = base64.urlsafe_b64encode(pair.sign(nonce.encode())).rstrip(b"=").decode()
    return {"nkey": pair.public_key.decode(), "sig": signed}


@SERVERS
@pytest.mark.parametrize("caller", ["viewer", "editor", *KEYLESS])
@pytest.mark.parametrize("act", BUS_ACTS)
async def test_on_the_bus_nobody_acts_on_another_namespace(
    world: World, act: str, caller: str, server: str
) -> None:
    bus = world.buses[server]
    before = await bus.log.head([f"penstock.{OTHER}.>"])
    said = await at_bus(world, bus, MINE, caller, act)
    refusal = "Authorization Violation" if caller in KEYLESS else "Permissions Violation"
    assert said.startswith("-ERR"), said
    assert refusal in said
    assert await bus.log.head([f"penstock.{OTHER}.>"]) == before


@SERVERS
@pytest.mark.parametrize("caller", ["viewer", "editor", "platform"])
@pytest.mark.parametrize("act", BUS_ACTS)
async def test_on_the_bus_the_same_is_done_by_those_who_may(
    world: World, act: str, caller: str, server: str
) -> None:
    said = await at_bus(world, world.buses[server], OTHER, caller, act)
    if caller == "platform" or caller in BUS_ACTS[act][1]:
        assert said.startswith("MSG"), said
        assert '"error"' not in said
    else:
        assert "Permissions Violation" in said


async def test_what_is_exported_holds_no_secret_of_the_bus(world: World) -> None:
    document = await penstock(world, "credential", "export", "nats", "--helm")
    assert document.startswith("# The accounts")
    assert "config:\n  merge:\n    accounts:\n      PENSTOCK:" in document
    assert '"$2a$' in document or "$2a$" in document
    for secret in (world.platform_user["pass"], *filter(None, world.seeds.values())):
        assert secret not in document


# -- at the object store --------------------------------------------------------------------------


def put(client: Minio, bucket: str, key: str) -> None:
    client.put_object(bucket, key, io.BytesIO(b"x"), 1)


def fetched(client: Minio, bucket: str, key: str) -> bytes:
    """The bytes of an object, into memory: `fget_object` renames a file onto what it is given."""
    answer = client.get_object(bucket, key)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


STORE_ACTS: dict[str, tuple[Callable[[Minio, str, str, str], Any], tuple[str, ...]]] = {
    "read": (lambda s3, bucket, to, _: s3.stat_object(bucket, f"{to}/a"), ("viewer", "editor")),
    "download": (
        lambda s3, bucket, to, _: fetched(s3, bucket, f"{to}/a"),
        ("viewer", "editor"),
    ),
    "list": (
        lambda s3, bucket, to, _: list(s3.list_objects(bucket, f"{to}/", recursive=True)),
        ("viewer", "editor"),
    ),
    "write": (lambda s3, bucket, to, _: put(s3, bucket, f"{to}/b"), ("editor",)),
    "overwrite": (lambda s3, bucket, to, _: put(s3, bucket, f"{to}/c"), ("editor",)),
    "copy": (
        lambda s3, bucket, to, own: s3.copy_object(
            bucket, f"{own}/copied", CopySource(bucket, f"{to}/a")
        ),
        ("editor",),
    ),
    "delete": (lambda s3, bucket, to, _: s3.remove_object(bucket, f"{to}/d"), ("editor",)),
}
"""Each act with the credentials that permit it in one's own namespace."""


async def at_store(
    world: World, server: str, namespace: str, caller: str, act: str, target: str = OTHER
) -> str:
    """The refusal of an act on what is below a prefix, nothing where it is done."""
    try:
        do, client = STORE_ACTS[act][0], world.keys[server, namespace, caller]
        await asyncio.to_thread(do, client, world.bucket, target, namespace)
    except S3Error as error:
        return str(error.code)
    return ""


async def stored(world: World, server: str, prefix: str) -> set[tuple[str, str]]:
    admin = world.keys[server, "platform", "platform"]
    found = await asyncio.to_thread(
        lambda: list(admin.list_objects(world.bucket, f"{prefix}/", recursive=True))
    )
    return {(str(one.object_name), str(one.etag)) for one in found}


@SERVERS
@pytest.mark.parametrize("caller", ["viewer", "editor", *KEYLESS])
@pytest.mark.parametrize("act", STORE_ACTS)
async def test_at_the_store_nobody_acts_on_another_namespace(
    world: World, act: str, caller: str, server: str
) -> None:
    before = await stored(world, server, OTHER)
    refusal = await at_store(world, server, MINE, caller, act)
    assert refusal in {"AccessDenied", "InvalidAccessKeyId"}
    assert await stored(world, server, OTHER) == before


@SERVERS
@pytest.mark.parametrize("role", ["viewer", "editor"])
@pytest.mark.parametrize("act", STORE_ACTS)
async def test_at_the_store_the_same_is_done_in_ones_own_by_those_who_may(
    world: World, act: str, role: str, server: str
) -> None:
    refusal = await at_store(world, server, OTHER, role, act)
    assert refusal == ("" if role in STORE_ACTS[act][1] else "AccessDenied")


@SERVERS
@pytest.mark.parametrize("act", STORE_ACTS)
async def test_at_the_store_a_name_that_begins_alike_is_another(
    world: World, act: str, server: str
) -> None:
    assert await at_store(world, server, OTHER, "editor", act, NEIGHBOUR) == "AccessDenied"


async def test_the_exported_identities_are_those_of_the_embedded_store(world: World) -> None:
    told = json.loads(await penstock(world, "credential", "export", "seaweedfs"))
    running = json.loads(world.identities.read_text())
    assert told["identities"] == [one for one in running["identities"] if one["credentials"]]


# -- a tenant's whole way -------------------------------------------------------------------------


async def test_a_job_that_is_asked_for_by_the_bus_runs_and_is_its_namespaces_own(
    world: World,
) -> None:
    wish = JobRequested(job="by-bus", program=Program(command=("{python}", "-c", "print(1)")))
    tenant = await nats.connect(
        f"nats://{world.buses['embedded'].address}",
        nkeys_seed_str=world.seeds[MINE, "editor"],
        allow_reconnect=False,
    )
    ended, heard = asyncio.Event(), set()

    async def note(message: Any) -> None:
        heard.add(message.subject.split(".")[1])
        if message.subject == f"penstock.{MINE}.job.succeeded.by-bus":
            ended.set()

    try:
        await tenant.subscribe(f"penstock.{MINE}.>", cb=note)
        await tenant.flush()
        subject = str(wish.subject(MINE))
        answer = await tenant.request(subject, wish.payload(), timeout=ANSWER_SECONDS)
        assert EVENTS.encode() in answer.data
        await asyncio.wait_for(ended.wait(), ENDS_SECONDS)
    finally:
        await tenant.close()
    assert heard == {MINE}
    async with AsyncClient(world.url, MINE, token=world.tokens[MINE, "viewer"]) as client:
        assert "1" in await client.job.logs("by-bus")
    async with AsyncClient(world.url, OTHER, token=world.tokens[OTHER, "admin"]) as client:
        assert "by-bus" not in [row.id async for row in client.job.list()]
