"""The committed catalogue: up to date, complete, closed, and never narrower than released."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from penstock_schemas import ANYONE, InvalidEvent, decode, event_types
from penstock_schemas.catalog.__main__ import REGENERATE, main, read

CATALOG = Path(__file__).parents[1] / "catalog"
SERVICES = {path.name for path in (Path(__file__).parents[2] / "services").iterdir()}
SCHEMAS = read(CATALOG)
FILES = pytest.mark.parametrize("file", SCHEMAS)
ASYNCAPI = json.loads((CATALOG / "asyncapi.json").read_text())
README = (CATALOG / "README.md").read_text()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CATALOG, tmp_path / "catalog"))


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in inner:
        yield from walk(part)


def texts(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_the_committed_catalogue_is_up_to_date() -> None:
    assert main(["--check", str(CATALOG)]) == 0, REGENERATE


def test_generating_again_changes_nothing_whatever_the_hash_seed(copy: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "penstock_schemas.catalog", str(copy)],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
    assert texts(copy) == texts(CATALOG)


def test_the_whole_catalogue_is_generated_from_the_contracts_and_the_old_versions(
    copy: Path,
) -> None:
    for name in texts(copy):
        if name != "node.registered/v1.json":
            (copy / name).unlink()
    assert main([str(copy)]) == 0
    assert texts(copy) == texts(CATALOG)


def test_the_check_names_what_differs_and_writes_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "README.md").write_text("old")
    (copy / "job.placed" / "v1.json").unlink()
    assert main(["--check", str(copy)]) == 1
    named = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert named == ["job.placed/v1.json", "README.md"]
    assert (copy / "README.md").read_text() == "old"
    assert not (copy / "job.placed" / "v1.json").exists()


def test_a_change_that_would_refuse_old_payloads_is_not_written(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy / "job.placed" / "v1.json"
    schema = json.loads(path.read_text())
    schema["properties"]["zone"] = {"type": "string"}  # released with a field that is now gone
    path.write_text(json.dumps(schema))
    (copy / "README.md").unlink()
    assert main([str(copy)]) == 1
    said = capsys.readouterr().err
    assert "job.placed version 1: $.zone: the field was removed" in said
    assert "Nothing was written" in said
    assert json.loads(path.read_text()) == schema
    assert not (copy / "README.md").exists()


def test_an_old_version_that_is_missing_is_asked_back(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "node.registered" / "v1.json").unlink()
    assert main([str(copy)]) == 1
    assert "node.registered/v1.json is missing" in capsys.readouterr().err


def test_the_schema_of_a_contract_that_is_gone_stays(copy: Path) -> None:
    path = copy / "gone.done" / "v1.json"
    path.parent.mkdir()
    path.write_text(json.dumps(SCHEMAS["node.lost/v1.json"], indent=2) + "\n")
    assert main([str(copy)]) == 0
    assert path.is_file()
    assert "### gone.done" in (copy / "README.md").read_text()


@FILES
def test_a_schema_is_valid_json_schema_named_for_its_version(file: str) -> None:
    schema = SCHEMAS[file]
    jsonschema.Draft202012Validator.check_schema(schema)
    type, version = file.removesuffix(".json").split("/v")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:penstock:schema:{type}:{version}"
    assert schema["title"]
    assert schema["description"]


@FILES
def test_every_object_of_a_schema_is_closed_or_says_what_else_it_takes(file: str) -> None:
    objects = [node for node in walk(SCHEMAS[file]) if node.get("type") == "object"]
    assert objects
    for node in objects:
        rest = node["additionalProperties"]
        assert rest is False if "properties" in node or "patternProperties" in node else rest


@FILES
def test_an_example_fits_its_schema_and_is_read_and_an_unknown_field_does_not_fit(
    file: str,
) -> None:
    schema = SCHEMAS[file]
    type, version = file.removesuffix(".json").split("/v")
    validator = jsonschema.Draft202012Validator(schema)
    assert schema["examples"]
    for example in schema["examples"]:
        validator.validate(example)
        decode(type, int(version), json.dumps(example))
        assert not validator.is_valid(example | {"mistyped": 1})


@FILES
def test_what_is_written_fits_the_published_schema(file: str) -> None:
    type, version = file.removesuffix(".json").split("/v")
    event = decode(type, int(version), json.dumps(SCHEMAS[file]["examples"][0]))
    newest = SCHEMAS[f"{type}/v{event.version}.json"]
    jsonschema.Draft202012Validator(newest).validate(json.loads(event.payload()))


@FILES
def test_a_payload_without_a_required_field_is_refused_by_schema_and_reader(file: str) -> None:
    schema = SCHEMAS[file]
    type, version = file.removesuffix(".json").split("/v")
    for name in schema["required"]:
        payload = {key: value for key, value in schema["examples"][0].items() if key != name}
        assert not jsonschema.Draft202012Validator(schema).is_valid(payload)
        with pytest.raises(InvalidEvent, match=name):
            decode(type, int(version), json.dumps(payload))


def test_the_page_shows_every_event_and_every_field() -> None:
    for type, cls in event_types().items():
        section = README.split(f"\n### {type}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
        assert f"[schema]({type}/v{cls.version}.json)" in section
        assert f"; appended by {' or '.join(cls.appenders())}; " in section
        for name in cls.model_fields:
            assert f"\n| `{name}` | " in section
    assert "Version 1 is still read: [schema](node.registered/v1.json)." in README
    assert "|  |" not in README, "a field has no meaning"


def test_every_link_of_the_page_leads_somewhere() -> None:
    headings = [line.lstrip("# ") for line in README.splitlines() if line.startswith("#")]
    anchors = {heading.lower().replace(".", "").replace(" ", "-") for heading in headings}
    links = [part.split(")")[0] for part in README.split("](")[1:]]
    assert len(links) > 100
    for link in links:
        assert link.removeprefix("#") in anchors if link[0] == "#" else (CATALOG / link).is_file()


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    references = [node["$ref"] for node in walk(ASYNCAPI) if "$ref" in node]
    assert len(references) > 100
    for reference in references:
        if reference.startswith("./"):
            assert (CATALOG / reference).is_file()
            continue
        node = ASYNCAPI
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert node


def test_every_type_has_its_channel_and_every_version_its_message() -> None:
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    for type, cls in event_types().items():
        channel = ASYNCAPI["channels"][type]
        assert channel["address"] == f"penstock.{{namespace}}.{type}.{{id}}"
        assert channel["parameters"].keys() == {"namespace", "id"}
        assert channel["messages"].keys() == {f"v{n}" for n in range(1, cls.version + 1)}
    versions = {file.removesuffix(".json").replace("/", ".") for file in SCHEMAS}
    assert ASYNCAPI["components"]["messages"].keys() == versions


def test_every_fact_is_sent_by_its_owner_and_every_operation_belongs_to_a_service() -> None:
    operations = ASYNCAPI["operations"]
    for name, operation in operations.items():
        service, action, type = name.split(".", 2)
        assert service in SERVICES
        assert operation["action"] == action
        assert operation["channel"] == {"$ref": f"#/channels/{type}"}
        appenders = event_types()[type].appenders()
        assert action == "receive" or {service, ANYONE} & set(appenders)
    for type, cls in event_types().items():
        for name in cls.appenders():
            assert name == ANYONE or f"{name}.send.{type}" in operations
        if type.endswith(".requested"):
            assert any(name.endswith(f".receive.{type}") for name in operations)
