"""A storm of webhooks: senders that send until they are answered 202, and some of it again, while
the platform and its servers are killed."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from chaos import PAGE, ChaosRun
from standardwebhooks import Webhook

import penstock
from penstock_schemas import Action, TriggerRequested

NAMESPACE, SOURCE = "demo", "storm"
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
SENDERS = 16
AGAIN = 0.3
"""The share of deliveries that their sender sends once more though they were answered."""
PAUSE_SECONDS = 0.1
REQUEST_SECONDS = 10.0
SETTLE_SECONDS = 120.0
JOB_SECONDS_MAX = 0.5
"""How long a job may take, on the average of all, on two busy cores."""
RETRIED = frozenset({502, 503, 504})


@dataclass
class Storm:
    """Deliveries by number, the kills between them, and what was answered."""

    run: ChaosRun
    seed: int
    count: int
    victims: Sequence[str]
    answered: Counter[str] = field(default_factory=Counter)
    """By delivery: how often it was answered 202."""
    ids: dict[str, set[str]] = field(default_factory=dict)
    """By delivery: the ids of the event that the answers named; one each."""
    unanswered: int = 0
    """Requests that were cut off or refused because nobody was there."""

    def set_up(self) -> None:
        """The platform, the source with its secret, and the trigger that makes a job of each."""
        self.run.restart()
        with penstock.connect(self.run.endpoints().gateway_url, NAMESPACE) as client:
            client.secret.set(SOURCE, SECRET)
            wish = client.source.declare(SOURCE, "standard")
            assert client.source.wait(wish.id, after=wish.sequence).ok
            job = {
                "job": "run-${string(number)}",
                "program": {"command": ["true"]},
                "params": {"delivery": "${event.delivery}"},
                "resources": {"cpu": 0.1},
            }
            client.publish(
                TriggerRequested(
                    trigger="retrain",
                    on="webhook.received",
                    do=Action(type="job.requested", data=job),
                )
            )

    async def rage(self) -> None:
        """Send everything, in disorder, until each was answered."""
        draw = random.Random(self.seed)
        names = [f"msg-{number}" for number in range(self.count)]
        queue = names + [name for name in names if draw.random() < AGAIN]
        draw.shuffle(queue)
        kills = sorted(draw.randrange(self.count) for _ in self.victims)
        waiting = list(zip(kills, self.victims, strict=True))
        async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
            senders = [asyncio.create_task(self._send_all(client, queue)) for _ in range(SENDERS)]
            try:
                while waiting or not all(sender.done() for sender in senders):
                    if waiting and len(self.answered) > waiting[0][0]:
                        at, victim = waiting[0]
                        if await asyncio.to_thread(self._kill, victim, at):
                            waiting.pop(0)
                    for sender in senders:
                        if sender.done():
                            sender.result()
                    await asyncio.sleep(PAUSE_SECONDS / 4)
            finally:
                for sender in senders:
                    sender.cancel()
                for result in await asyncio.gather(*senders, return_exceptions=True):
                    if isinstance(result, Exception):
                        raise result

    def _kill(self, victim: str, at: int) -> bool:
        """Kill a victim; False where it was just being started again. A platform may be killed
        while it starts; where it is a server that dies then, it gives up, and nobody is here who
        would start it again, as an operator would."""
        before = len(self.run.killed)
        if victim != "platform":
            self.run.endpoints()
        self.run.kill(victim, float(at))
        return len(self.run.killed) > before

    async def _send_all(self, client: httpx.AsyncClient, queue: list[str]) -> None:
        url = f"{self.run.endpoints().gateway_url}/v1/webhooks/{NAMESPACE}/{SOURCE}"
        while queue:
            name = queue.pop()
            while not await self._send(client, url, name):
                self.unanswered += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _send(self, client: httpx.AsyncClient, url: str, name: str) -> bool:
        now, body = datetime.now(UTC), f'{{"of": "{name}"}}'
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(name, now, body),
        }
        try:
            answer = await client.post(url, content=body, headers=headers)
        except httpx.TransportError:
            return False
        if answer.status_code in RETRIED:
            return False
        assert answer.status_code == 202, answer.text
        self.answered[name] += 1
        self.ids.setdefault(name, set()).add(answer.json()["id"])
        return True

    def settle(self, type: str) -> list[dict[str, Any]]:
        """The events of a type once there are as many as deliveries, and no more come."""
        with penstock.connect(self.run.endpoints().gateway_url, NAMESPACE) as client:
            patience = SETTLE_SECONDS + self.count * JOB_SECONDS_MAX
            stream = client.subscribe(type, after=0, timeout_seconds=patience)
            for _ in zip(range(self.count), stream, strict=False):
                pass
        return self.events(type)

    def events(self, type: str) -> list[dict[str, Any]]:
        """All events of a type, in order."""
        found: list[dict[str, Any]] = []
        url = f"{self.run.endpoints().gateway_url}/v1/{NAMESPACE}/event"
        while True:
            after = found[-1]["sequence"] if found else 0
            params: dict[str, Any] = {"type": type, "after": after, "limit": PAGE}
            answer = httpx.get(url, params=params, timeout=REQUEST_SECONDS)
            page = answer.raise_for_status().json()["items"]
            if not page:
                return found
            found += page


def storm(work: Path, seed: int, count: int, victims: Sequence[str]) -> Storm:
    """A storm on a new platform in `work`."""
    return Storm(ChaosRun(work, seed), seed, count, victims)
