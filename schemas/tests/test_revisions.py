"""A change of the contracts is judged by the catalogue as it was before, regenerated or not."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock_schemas.compat import compare_with_revision, main
from penstock_schemas.revisions import BASE_VARIABLE, NoBase, base_revision

CATALOG = Path(__file__).parents[1] / "catalog"
TYPE = "job.placed"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


@pytest.fixture(autouse=True)
def _no_base_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (BASE_VARIABLE, "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):
        monkeypatch.delenv(name, raising=False)  # git sets the others for its hooks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalogue of one event in a repository without a commit."""
    catalogue = tmp_path / "schemas" / "catalog"
    shutil.copytree(CATALOG / TYPE, catalogue / TYPE)
    git(catalogue, "init", "--quiet", str(tmp_path))
    return catalogue


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", message)


def drop_field(folder: Path) -> None:
    """What an incompatible edit and regenerating leave behind."""
    path = folder / TYPE / "v1.json"
    schema = json.loads(path.read_text())
    del schema["properties"]["gpus"]
    path.write_text(json.dumps(schema))


def test_a_break_that_was_regenerated_is_found_before_and_after_it_is_committed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(folder, "released")
    assert main(["git:HEAD", str(folder)]) == 0
    drop_field(folder)
    assert base_revision(folder) == "HEAD"
    assert main(["git:", str(folder)]) == 1
    commit(folder, "a break")
    assert base_revision(folder) == "HEAD^1"
    assert main(["git:", str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "job.placed version 1: $.gpus: the field was removed" in line
    assert main(["git:HEAD", str(folder)]) == 0


def test_a_branch_of_several_commits_is_judged_by_the_revision_that_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, "released")
    git(folder, "tag", "released")
    drop_field(folder)
    commit(folder, "a break")
    commit(folder, "something else")
    assert main(["git:", str(folder)]) == 0, "the last commit broke nothing"
    monkeypatch.setenv(BASE_VARIABLE, "released")
    assert main(["git:", str(folder)]) == 1


def test_a_contract_that_is_new_breaks_nothing_and_one_that_is_gone_does(folder: Path) -> None:
    commit(folder, "released")
    shutil.copytree(CATALOG / "node.lost", folder / "node.lost")
    assert compare_with_revision(base_revision(folder), folder) == []
    shutil.rmtree(folder / TYPE)
    (gone,) = compare_with_revision("HEAD", folder)
    assert "job.placed version 1 was released and is gone" in gone


def test_without_a_base_the_reason_is_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoBase, match="in no git checkout with a commit"):
        base_revision(folder)
    commit(folder, "first")
    with pytest.raises(NoBase, match="HEAD has no parent"):
        base_revision(folder)
    with pytest.raises(NoBase, match="unknown is no revision here"):
        compare_with_revision("unknown", folder)
    with pytest.raises(SystemExit, match="2"):
        main(["git:", str(folder)])
    assert "HEAD has no parent" in capsys.readouterr().err


def test_a_base_from_before_the_catalogue_is_not_taken_for_an_empty_one(folder: Path) -> None:
    (folder / "notes.txt").write_text("no catalogue yet")
    git(folder, "add", "notes.txt")
    git(folder, "commit", "--quiet", "--no-gpg-sign", "-m", "before")
    with pytest.raises(NoBase, match="HEAD has no catalogue"):
        compare_with_revision("HEAD", folder)
