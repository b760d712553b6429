"""What the API says of itself holds for whatever is sent: Schemathesis against a real gateway.

No answer of 500, none of a status, a content type or a shape that the document does not have.
Left out: the live tail, which never ends (the gateway's own tests follow it), and the rebuild.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from penstock_chassis.embedded import DataDir
from penstock_chassis.platform import UpOptions, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
LEFT_OUT = "/event/stream$|/projection/rebuild$"


async def fuzz(folder: Path, *options: str) -> str:
    """What Schemathesis says; fails where it finds anything."""
    with DataDir.ephemeral() as directory:
        async with running_platform(directory, UpOptions(services=["scheduler", "gateway"])):
            endpoints = directory.read_endpoints()
            assert endpoints is not None
            process = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("schemathesis"),
                "run",
                f"{endpoints.gateway_url}/v1/openapi.json",
                f"--exclude-path-regex={LEFT_OUT}",
                f"--checks={','.join(CHECKS)}",
                "--no-color",
                *options,
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said, _ = await process.communicate()
    report = said.decode()
    assert process.returncode == 0, report
    assert " passed" in report.partition("Test cases:")[2], report
    return report


async def test_no_answer_is_undocumented(tmp_path: Path) -> None:
    await fuzz(tmp_path, "--phases=examples,fuzzing", "--max-examples=3", "--seed=1")


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_answer_is_undocumented_for_long(tmp_path: Path) -> None:
    await fuzz(tmp_path, "--phases=examples,coverage,fuzzing,stateful", "--max-examples=100")
