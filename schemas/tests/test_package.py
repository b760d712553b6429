"""What the package costs those who install and import it."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from sysconfig import get_paths

ROOT = Path(__file__).parents[1]
EVERYTHING = ("", ".catalog", ".catalog.__main__", ".compat")


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def needed_by(distribution: str) -> set[str]:
    """The distribution and everything that it needs without extras."""
    needed, todo = set(), [distribution]
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += [name_of(one) for one in requires(name) or () if "extra ==" not in one]
    return needed


def loaded_by(*modules: str) -> set[str]:
    """The top-level modules that importing `modules` loads, in a Python without site packages'
    own start-up files."""
    code = (
        f"import sys; sys.path += {[str(ROOT / 'src'), get_paths()['purelib']]!r}\n"
        f"import json, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True
    )
    return set(json.loads(run.stdout))


def test_penstock_schemas_needs_pydantic_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [name_of(one) for one in project["dependencies"]] == ["pydantic"]
    assert "optional-dependencies" not in project


def test_importing_all_of_it_loads_nothing_beyond_pydantic_and_what_that_needs() -> None:
    loaded = loaded_by(*(f"penstock_schemas{module}" for module in EVERYTHING))
    loaded = {name for name in loaded if not name.startswith("_sysconfigdata")}  # the stdlib's
    top = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"__main__"}
    owners = packages_distributions()
    foreign = {
        module
        for module in top - {"penstock_schemas"}
        if not {name_of(owner) for owner in owners.get(module, (module,))} <= needed_by("pydantic")
    }
    assert foreign == set()
    assert {"pydantic", "penstock_schemas"} <= top


def test_importing_the_contracts_does_not_load_the_catalogue() -> None:
    loaded = loaded_by("penstock_schemas")
    assert not {"penstock_schemas.catalog", "penstock_schemas.compat", "argparse"} & loaded
