"""The pytest plug-in: how many seeds a simulation runs.

    pytest --sim-seeds=1000 --sim-first=5000

Fixtures: `sim_seeds`, the range of seeds; `sim_seed`, one test a seed.
"""

import pytest

SEEDS_DEFAULT = 10


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--sim-seeds` and `--sim-first`."""
    group = parser.getgroup("penstock simulation")
    group.addoption(
        "--sim-seeds", type=int, default=SEEDS_DEFAULT, help="seeds of each simulation (default 10)"
    )
    group.addoption("--sim-first", type=int, default=0, help="the first seed (default 0)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each seed where a test asks for `sim_seed`."""
    if "sim_seed" in metafunc.fixturenames:
        metafunc.parametrize("sim_seed", list(_range(metafunc.config)), ids="seed{}".format)


@pytest.fixture
def sim_seeds(request: pytest.FixtureRequest) -> range:
    """The seeds that a simulation runs."""
    return _range(request.config)


def _range(config: pytest.Config) -> range:
    first = int(config.getoption("--sim-first"))
    return range(first, first + int(config.getoption("--sim-seeds")))
