"""The pytest plug-in: how many seeds a simulation runs.

    pytest --sim-seeds=1000 --sim-first=5000

Fixtures: `sim_seeds`, the range of seeds; `sim_seed`, one test a seed; `outwait`, which the
contract of dead letters asks for and an implementation with a faster way overrides.
"""

import asyncio

import pytest

from penstock_chassis.testing.contracts.sidestream_contract import Outwait
from penstock_chassis.testing.simbus.stream import DUPLICATE_WINDOW_SECONDS

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


@pytest.fixture
def outwait() -> Outwait:
    """Wait until the duplicate window has passed, in the time of the running loop."""

    async def sleep() -> None:
        await asyncio.sleep(DUPLICATE_WINDOW_SECONDS + 1)

    return sleep


def _range(config: pytest.Config) -> range:
    first = int(config.getoption("--sim-first"))
    return range(first, first + int(config.getoption("--sim-seeds")))
