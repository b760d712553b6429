"""What the S3 server itself refuses: a credential opens its namespace alone, on real weed."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from minio import Minio
from minio.error import S3Error

from penstock_chassis.accounts import Credential
from penstock_chassis.accounts.objects import objects_secret
from penstock_chassis.embedded import DataDir, EmbeddedObjects
from penstock_chassis.testing.contracts.deliveries import eventually
from penstock_schemas import CredentialIssued

MINE, OTHER, BUCKET = "vision", "audio", "penstock"


def credential(namespace: str, role: str) -> Credential:
    name = f"{namespace}-{role}"
    return Credential(
        CredentialIssued(credential=name, kind="s3", role=role, public_key=name), namespace
    )


def client(server: EmbeddedObjects, access_key: str, secret_key: str) -> Minio:
    return Minio(server.endpoint, access_key, secret_key, secure=False, region="us-east-1")


def tenant(server: EmbeddedObjects, role: str) -> Minio:
    key = f"{MINE}-{role}"
    return client(server, key, objects_secret(server.secret_key, key))


async def until_known(asked: Callable[[], Any], code: str | None) -> None:
    """Wait until the server answers so; it hears of a credential by a file, and tells nobody."""

    async def answers() -> bool:
        try:
            await asyncio.to_thread(asked)
        except S3Error as error:
            return error.code == code
        return code is None

    await eventually(answers)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedObjects]:
    directory = DataDir(tmp_path / "data")
    with directory.locked():
        async with EmbeddedObjects(directory) as running:
            admin = client(running, running.access_key, running.secret_key)
            admin.make_bucket(BUCKET)
            for name in (MINE, OTHER, f"{MINE}-2"):
                admin.put_object(BUCKET, f"{name}/a", io.BytesIO(b"a"), 1)
            await running.admit([credential(MINE, "viewer"), credential(MINE, "editor")])
            for role in ("viewer", "editor"):
                made = tenant(running, role)
                await until_known(lambda made=made: made.stat_object(BUCKET, f"{MINE}/a"), None)
            yield running


async def test_a_credential_opens_no_bucket_and_no_other_prefix(server: EmbeddedObjects) -> None:
    """What is below another namespace: `tests/e2e/test_isolation.py`, act by act."""
    for role in ("viewer", "editor"):
        one = tenant(server, role)
        for prefix in (None, "", f"{MINE}-2/", "never-was/"):
            with pytest.raises(S3Error) as refused:
                list(one.list_objects(BUCKET, prefix, recursive=True))
            assert refused.value.code == "AccessDenied", (role, prefix)
        with pytest.raises(S3Error):
            one.make_bucket("another")


def read(one: Minio, name: str) -> bytes:
    return bytes(one.get_object(BUCKET, f"{name}/a").read())


async def test_a_credential_that_is_revoked_opens_nothing(server: EmbeddedObjects) -> None:
    await server.admit([credential(MINE, "viewer")])
    editor = tenant(server, "editor")
    code = "InvalidAccessKeyId"
    await until_known(lambda: editor.put_object(BUCKET, f"{MINE}/b", io.BytesIO(b"b"), 1), code)
    assert read(tenant(server, "viewer"), MINE) == b"a"
    assert read(client(server, server.access_key, server.secret_key), OTHER) == b"a"
