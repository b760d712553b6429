"""What a namespace's credentials may publish on the bus, by their role."""

from typing import Any

from penstock_chassis.accounts.book import Credential
from penstock_chassis.accounts.bus import PREFIX, bus_accounts
from penstock_schemas import CredentialIssued


def allowed(role: str) -> Any:
    issued = CredentialIssued.model_validate({**CredentialIssued.example, "role": role})
    accounts = bus_accounts([Credential(issued, "vision")])["accounts"]
    (user,) = accounts[f"{PREFIX}vision"]["users"]
    return user["permissions"]["publish"]


def test_what_takes_an_admin_over_http_takes_an_admin_on_the_bus() -> None:
    editor, admin = set(allowed("editor")["allow"]), set(allowed("admin")["allow"])
    closed = {subject.removeprefix("penstock.vision.") for subject in admin - editor}
    assert closed == {
        "queue.requested.*",
        "source.requested.*",
        "subscription.requested.*",
        "subscription.remove-requested.*",
        "subscription.replay-requested.*",
        "trigger.requested.*",
        "trigger.fire-requested.*",
    }
    assert editor < admin
    assert "penstock.vision.job.requested.*" in editor


def test_a_viewer_publishes_nothing() -> None:
    assert allowed("viewer") == {"deny": [">"]}
