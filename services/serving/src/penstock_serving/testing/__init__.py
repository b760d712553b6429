"""For tests: a fake model host, the contract that it shares with the real one, models, a client."""

from penstock_serving.testing.fake_host import FakeModel, FakeModelHost
from penstock_serving.testing.host_contract import (
    CONTRACT_SIGNATURE,
    HostWorld,
    ModelHostContract,
    RoutedHost,
)

__all__ = [
    "CONTRACT_SIGNATURE",
    "FakeModel",
    "FakeModelHost",
    "HostWorld",
    "ModelHostContract",
    "RoutedHost",
]
