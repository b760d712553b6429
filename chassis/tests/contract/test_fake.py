"""The contract suites on the simulated bus, in virtual time, under several schedules."""

import pytest

from penstock_chassis.testing import SimPorts, SimWorld
from penstock_chassis.testing.contracts import (
    AppendContract,
    ConsumersContract,
    DeadLettersContract,
    KeyValuesContract,
    ObjectStoreContract,
    ReadingContract,
    RedeliveryContract,
    SecretsContract,
    TelemetryContract,
    in_virtual_time,
)
from penstock_chassis.testing.contracts.object_contract import Tamper

SCHEDULES = 3


@pytest.fixture(params=range(SCHEDULES), ids="schedule{}".format)
def ports(request: pytest.FixtureRequest) -> SimPorts:
    return SimWorld(seed=request.param).ports()


@pytest.fixture
def tamper(ports: SimPorts) -> Tamper:
    async def overwrite(uri: str, data: bytes) -> None:
        ports.world.objects[uri] = data

    return overwrite


@in_virtual_time
class TestAppend(AppendContract):
    pass


@in_virtual_time
class TestReading(ReadingContract):
    pass


@in_virtual_time
class TestConsumers(ConsumersContract):
    pass


@in_virtual_time
class TestRedelivery(RedeliveryContract):
    pass


@in_virtual_time
class TestKeyValues(KeyValuesContract):
    pass


@in_virtual_time
class TestSecrets(SecretsContract):
    pass


@in_virtual_time
class TestObjects(ObjectStoreContract):
    pass


@in_virtual_time
class TestTelemetry(TelemetryContract):
    pass


@in_virtual_time
class TestDeadLetters(DeadLettersContract):
    pass
