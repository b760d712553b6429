"""The one Dockerfile: what it copies is there, what it builds has what it needs, who it runs as."""

import re
import shutil
import subprocess
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from penstock_chassis.discovery import installed_names

COPY = re.compile(r"^COPY (?!--from)(\S+) \S+$", re.MULTILINE)
STAGE = re.compile(r"^FROM (\S+)(?: AS (\S+))?$", re.MULTILINE)


@pytest.fixture
def dockerfile(root: Path) -> str:
    return (root / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")


@pytest.fixture
def uv(root: Path) -> str:
    """The uv that set up this environment."""
    own = root / ".uv" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is neither on PATH nor in .uv: the wheels are built by `make test` alone")
    return found


@pytest.mark.parametrize("service", installed_names())
def test_what_is_copied_exists_and_reaches_the_builder(
    dockerfile: str, root: Path, service: str
) -> None:
    ignore = (root / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert ignore[1] == "*", "nothing is let in but what is named"
    copied = [name.replace("${SERVICE}", service) for name in COPY.findall(dockerfile)]
    assert f"services/{service}" in copied
    for name in copied:
        assert (root / name).exists(), name
        assert name.split("/")[0] in let_in, name
    barred = [line for line in ignore if line.startswith("**/")]
    for path in ("tests/test_app.py", ".venv/bin/python"):
        assert any(fnmatch(path, line.removeprefix("**/") + "/*") for line in barred), path


def test_the_image_runs_as_nobody_on_a_plain_python(dockerfile: str) -> None:
    stages = STAGE.findall(dockerfile)
    bases = [source for source, _ in stages if source not in {name for _, name in stages}]
    assert bases == ["python:${PYTHON}-slim-bookworm"]
    assert stages[-1] == ("base", ""), "nothing to build with in what runs"
    last = dockerfile[dockerfile.rindex("\nFROM ") :]
    (user,) = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "by number, so that a cluster can check it"
    assert f"-o {user.split(':')[0]} -g {user.split(':')[1]}" in last
    assert last.rindex("USER ") > last.rindex("RUN ")


def test_the_shell_gives_its_place_to_the_service(dockerfile: str) -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)
    assert 'exec penstock service run \\"${SERVICE}\\"' in entry


def test_no_registry_and_no_secret_is_written_down(dockerfile: str) -> None:
    code = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#"))
    assert not re.search(r"https?://|index-url|--trusted-host|PIP_INDEX|TOKEN|PASSWORD", code)
    # The cluster and Compose tell a service where things are; an image knows nothing.
    assert "PENSTOCK_" not in code
    for step in re.findall(r"^RUN .*pip install.*$", code, re.MULTILINE):
        assert "--mount=type=secret,id=pip" in step
    assert "--constraint constraints.txt" in code


@pytest.mark.parametrize("folder", ["schemas", "chassis", "sdk"])
def test_what_every_image_has_builds_as_a_wheel(
    uv: str, root: Path, tmp_path: Path, folder: str
) -> None:
    assert [name for name in _built(uv, root / folder, tmp_path) if name.endswith("__init__.py")]


@pytest.mark.parametrize("service", installed_names())
def test_a_service_builds_as_a_wheel_that_can_be_found(
    uv: str, root: Path, tmp_path: Path, service: str
) -> None:
    names = _built(uv, root / "services" / service, tmp_path)
    assert f"penstock_{service}/app.py" in names
    assert not [name for name in names if "/tests/" in name]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        text = archive.read(entries).decode()
    assert f"[penstock.services]\n{service} = penstock_{service}.app:SERVICE" in text


def _built(uv: str, source: Path, out: Path) -> list[str]:
    """Build a wheel offline; its file names."""
    done = subprocess.run(
        [uv, "build", "--wheel", "--offline", "--quiet", "--out-dir", out, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()
