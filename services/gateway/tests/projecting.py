"""A process that projects a story into a database until it is killed: run by
`test_killed_projections.py`, as a script."""

import asyncio
import sys
from pathlib import Path

import structlog

from penstock_gateway.adapters.postgres_rows import postgres_rows
from penstock_gateway.adapters.sqlite_rows import sqlite_rows
from penstock_gateway.domain.state import NOUNS
from penstock_gateway.nouns import PROJECTION, VIEWS
from penstock_gateway.supervisor import batches
from penstock_gateway.supervisor import projector as module
from penstock_gateway.supervisor.projector import Projector
from penstock_gateway.testing.story import StoryLog, random_story
from penstock_schemas import filter_of

BATCH_EVENTS = 10
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def say(position: int) -> None:
    sys.stdout.write(f"{position}\n")
    sys.stdout.flush()


async def main(place: str, seed: int, events: int) -> None:
    batches.BATCH_EVENTS_MAX = module.BATCH_EVENTS_MAX = BATCH_EVENTS
    indexed = {noun: view.indexed for noun, view in VIEWS.items()}
    if place.startswith("postgresql://"):
        store = postgres_rows(place, indexed)
    else:
        store = sqlite_rows(Path(place), indexed)
    filters = tuple(filter_of(type=f"{noun}.*") for noun in sorted(NOUNS))
    projector = Projector(StoryLog(random_story(seed, events)), store, PROJECTION, filters)
    projector.begin(events)
    running = asyncio.create_task(projector.run())
    await projector.reach(0)
    at = projector.standing.position
    say(at)
    while at < events:
        at = min(at + BATCH_EVENTS, events)
        await projector.reach(at)
        say(at)
    running.cancel()
    await store.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
