"""The contract of the store of secrets: sealed, replaced whole, every change told."""
# ruff: noqa: D102 - the name of a test is its sentence

import asyncio

import pytest

from penstock_chassis.errors import Conflict, NotFound, Sealed, Unavailable
from penstock_chassis.ports import SECRET_VALUES_MAX, Ports
from penstock_chassis.sealing import Sealer
from penstock_chassis.secrets import BUCKET, SealedSecrets
from penstock_chassis.testing.contracts.suite import Suite

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
WRITERS = 6


def store(ports: Ports, *keys: bytes) -> SealedSecrets:
    """A store of its own, as another replica has it."""
    return SealedSecrets(ports.kv, Sealer(keys or (KEY,)))


class SecretsContract(Suite):
    """The store on a bucket."""

    async def test_what_was_never_set_has_no_values(self, ports: Ports, ns: str) -> None:
        assert await store(ports).get(ns, "a") == ()
        with pytest.raises(NotFound):
            await store(ports).delete(ns, "a", id="1", by="me")

    async def test_a_value_is_there_for_every_replica(self, ports: Ports, ns: str) -> None:
        change = await store(ports).set(ns, "a", "hush", id="1", by="me")
        assert (change.values, change.by, change.id) == (1, "me", "1")
        assert await store(ports).get(ns, "a") == ("hush",)
        assert await store(ports).get(f"{ns}x", "a") == ()

    async def test_a_change_stays_untold_until_it_is_told(self, ports: Ports, ns: str) -> None:
        secrets = store(ports)
        change = await secrets.set(ns, "a", "hush", id="1", by="me")
        assert await secrets.untold(ns, "a") == [change]
        assert change in await store(ports).untold()
        with pytest.raises(Conflict):
            await secrets.set(ns, "a", "other", id="2", by="me")
        await secrets.told(change)
        await secrets.told(change)
        assert await secrets.untold(ns, "a") == []
        await secrets.set(ns, "a", "other", id="2", by="me")
        assert await secrets.get(ns, "a") == ("other",)

    async def test_the_same_change_again_changes_nothing(self, ports: Ports, ns: str) -> None:
        secrets = store(ports)
        first = await secrets.set(ns, "a", "hush", id="1", by="me")
        assert await secrets.set(ns, "a", "hush", id="1", by="me") == first
        await secrets.told(first)
        assert await secrets.set(ns, "a", "hush", id="1", by="me") == first
        assert await secrets.untold(ns, "a") == []

    async def test_values_rotate_the_newest_first(self, ports: Ports, ns: str) -> None:
        secrets = store(ports)
        for number in range(SECRET_VALUES_MAX + 2):
            await secrets.told(
                await secrets.set(ns, "a", f"v{number}", id=str(number), by="me", keep=True)
            )
        values = await secrets.get(ns, "a")
        assert values == tuple(f"v{SECRET_VALUES_MAX + 1 - n}" for n in range(SECRET_VALUES_MAX))
        await secrets.told(await secrets.set(ns, "a", values[1], id="again", by="me", keep=True))
        assert (await secrets.get(ns, "a"))[:2] == (values[1], values[0])
        await secrets.told(await secrets.set(ns, "a", values[1], id="done", by="me"))
        assert await secrets.get(ns, "a") == (values[1],)

    async def test_a_deleted_secret_opens_nothing_and_is_told(self, ports: Ports, ns: str) -> None:
        secrets = store(ports)
        change = await secrets.set(ns, "a", "hush", id="1", by="me")
        await secrets.told(change)
        gone = await secrets.delete(ns, "a", id="2", by="you")
        assert (gone.values, gone.fingerprint, gone.by) == (0, change.fingerprint, "you")
        assert await secrets.get(ns, "a") == ()
        assert await secrets.untold(ns, "a") == [gone]
        await secrets.told(gone)
        assert await secrets.untold(ns, "a") == []
        await secrets.set(ns, "a", "new", id="3", by="me")
        assert await secrets.get(ns, "a") == ("new",)

    async def test_of_changes_at_the_same_time_one_stands(self, ports: Ports, ns: str) -> None:
        answers = await asyncio.gather(
            *(store(ports).set(ns, "a", f"v{n}", id=f"{n}", by="me") for n in range(WRITERS)),
            return_exceptions=True,
        )
        won = [number for number, answer in enumerate(answers) if not isinstance(answer, Conflict)]
        assert len(won) == 1
        assert await store(ports).get(ns, "a") == (f"v{won[0]}",)

    async def test_the_bucket_holds_no_value_in_clear(self, ports: Ports, ns: str) -> None:
        await store(ports).set(ns, "a", "hush-hush-hush", id="1", by="me")
        entry = await (await ports.kv.bucket(BUCKET)).get(f"{ns}.a")
        assert entry is not None
        assert b"hush" not in entry.value

    async def test_another_key_does_not_open_and_a_former_one_does(
        self, ports: Ports, ns: str
    ) -> None:
        await store(ports).set(ns, "a", "hush", id="1", by="me")
        with pytest.raises(Sealed):
            await store(ports, OTHER_KEY).get(ns, "a")
        assert await store(ports, OTHER_KEY, KEY).get(ns, "a") == ("hush",)

    async def test_a_sealed_value_put_elsewhere_does_not_open(self, ports: Ports, ns: str) -> None:
        await store(ports).set(ns, "a", "hush", id="1", by="me")
        bucket = await ports.kv.bucket(BUCKET)
        entry = await bucket.get(f"{ns}.a")
        assert entry is not None
        for moved in (entry.value, entry.value.replace(b'"name": "a"', b'"name": "b"')):
            await bucket.put(f"{ns}.b", moved)
            with pytest.raises(Sealed):
                await store(ports).get(ns, "b")

    async def test_without_a_key_every_call_says_what_is_missing(
        self, ports: Ports, ns: str
    ) -> None:
        await store(ports).set(ns, "a", "hush", id="1", by="me")
        locked = SealedSecrets(ports.kv, None)
        with pytest.raises(Unavailable, match="PENSTOCK_SECRETS_KEY_FILE"):
            await locked.get(ns, "a")
        with pytest.raises(Unavailable, match="PENSTOCK_SECRETS_KEY_FILE"):
            await locked.set(ns, "b", "hush", id="2", by="me")
