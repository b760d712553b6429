"""The contract of every port, as test suites that any implementation must pass.

Subclass a suite in a test module that has a fixture `ports` (and, for objects, `tamper`):

    class TestLog(EventLogContract): ...

The tests are async and do not care whose time it is: leases are short, and what happens is
awaited, never slept for. For an implementation in virtual time decorate the subclass with
`in_virtual_time`. Every test works in a namespace of its own, so one server serves them all.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "consumer_contract",
            "kv_contract",
            "lease_contract",
            "log_contract",
            "object_contract",
            "reading_contract",
            "redelivery_contract",
            "secrets_contract",
            "sidestream_contract",
        )
    )
)

from penstock_chassis.testing.contracts.consumer_contract import ConsumersContract  # noqa: E402
from penstock_chassis.testing.contracts.kv_contract import KeyValuesContract  # noqa: E402
from penstock_chassis.testing.contracts.lease_contract import LeasesContract  # noqa: E402
from penstock_chassis.testing.contracts.log_contract import AppendContract  # noqa: E402
from penstock_chassis.testing.contracts.object_contract import ObjectStoreContract  # noqa: E402
from penstock_chassis.testing.contracts.reading_contract import ReadingContract  # noqa: E402
from penstock_chassis.testing.contracts.redelivery_contract import (  # noqa: E402
    RedeliveryContract,
)
from penstock_chassis.testing.contracts.secrets_contract import SecretsContract  # noqa: E402
from penstock_chassis.testing.contracts.sidestream_contract import (  # noqa: E402
    DeadLettersContract,
    TelemetryContract,
)
from penstock_chassis.testing.contracts.suite import in_virtual_time  # noqa: E402

__all__ = [
    "AppendContract",
    "ConsumersContract",
    "DeadLettersContract",
    "KeyValuesContract",
    "LeasesContract",
    "ObjectStoreContract",
    "ReadingContract",
    "RedeliveryContract",
    "SecretsContract",
    "TelemetryContract",
    "in_virtual_time",
]
