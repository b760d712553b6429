"""An S3 server that the platform did not start, with users and policies of IAM: `weed`, whose IAM
API (of AWS, 2010-05-08) attaches a policy document to a user. MinIO and AWS read the same."""

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import urllib3
from minio import Minio
from minio.credentials import Credentials
from minio.error import MinioException
from minio.signer import _sign_v4

from penstock_chassis.embedded import binaries, weed_command

ADMIN = ("penstock", "of-the-administrator")
REGION = "us-east-1"
READY_SECONDS = 20.0
GRPC_PORTS_ABOVE = 55_000
"""weed adds 10,000 to each port for gRPC."""


class IamStore:
    """The server as its administrator sees it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.admin = self.client(*ADMIN)
        self._http = urllib3.PoolManager(retries=False)

    def client(self, access_key: str, secret_key: str) -> Minio:
        """A client with these keys."""
        return Minio(self.endpoint, access_key, secret_key, secure=False, region=REGION)

    def give(self, user: str, policy: Any) -> tuple[str, str]:
        """A key pair of a fresh user with a policy."""
        self._ask(Action="CreateUser", UserName=user)
        made = self._ask(Action="CreateAccessKey", UserName=user)
        document = json.dumps(policy)
        self._ask(Action="PutUserPolicy", UserName=user, PolicyName=user, PolicyDocument=document)
        found = {one.tag.rpartition("}")[2]: one.text or "" for one in made.iter()}
        return found["AccessKeyId"], found["SecretAccessKey"]

    def revoke(self, user: str, access_key: str) -> None:
        """Take a key back."""
        self._ask(Action="DeleteAccessKey", UserName=user, AccessKeyId=access_key)

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _ask(self, **parameters: str) -> ElementTree.Element:
        body = urlencode({"Version": "2010-05-08", **parameters}).encode()
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        url = urlsplit(f"http://{self.endpoint}/")
        headers = _sign_v4(
            service_name="iam",
            method="POST",
            url=url,
            region=REGION,
            headers={
                "Host": self.endpoint,
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Amz-Date": now.strftime("%Y%m%dT%H%M%SZ"),
                "x-amz-content-sha256": digest,
            },
            credentials=Credentials(*ADMIN),
            content_sha256=digest,
            date=now,
        )
        answer = self._http.request("POST", url.geturl(), body=body, headers=headers)
        assert answer.status == 200, answer.data
        return ElementTree.fromstring(answer.data)


@contextmanager
def iam_store(folder: Path, bucket: str) -> Iterator[IamStore]:
    """A running server with a bucket, its files below `folder`."""
    folder.mkdir(parents=True)
    ports = dict(zip(weed_command.ROLES, free_ports(len(weed_command.ROLES)), strict=True))
    (folder / "filer.toml").write_text(weed_command.FILER_STORE)
    own = weed_command.argv(binaries.find(binaries.WEED), folder, ports)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*(one for one in own if not one.startswith("-s3.config")), "-s3.iam.readOnly=false"],
            cwd=folder,
            env=weed_command.environment(os.environ, folder, weed_command.Credentials(*ADMIN)),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    store = IamStore(f"127.0.0.1:{ports[weed_command.S3]}")
    try:
        until = time.monotonic() + READY_SECONDS
        while not _made(store, bucket):
            assert time.monotonic() < until, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield store
    finally:
        store.close()
        process.terminate()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and far enough from the last one."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            one = held.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            if one.getsockname()[1] < GRPC_PORTS_ABOVE:
                found.append(one.getsockname()[1])
    return found


def _made(store: IamStore, bucket: str) -> bool:
    try:
        if not store.admin.bucket_exists(bucket):
            store.admin.make_bucket(bucket)
    except (MinioException, urllib3.exceptions.HTTPError):
        return False
    return True
