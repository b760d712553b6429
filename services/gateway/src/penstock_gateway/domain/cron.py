"""Planned times: cron expressions in a time zone.

By cronsim, which goes by Debian's cron where clocks change: what is planned for an hour that is
skipped happens at its end, what is planned at a fixed time in an hour that comes twice happens
once, and what is planned for every so many minutes or hours follows real time.
"""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from penstock_schemas import Cron

FIELDS = 5
ZONES_KEPT_MAX = 128


def fault_of_cron(cron: Cron) -> tuple[str, str, str] | None:
    """Field, what is wrong, what to do; None where it can be followed."""
    if len(cron.expression.split()) != FIELDS:
        problem = f"{cron.expression!r} has not {FIELDS} fields"
        return "cron.expression", problem, "write minute hour day month weekday, e.g. 0 6 * * 1"
    try:
        zone = _zone(cron.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"there is no time zone {cron.time_zone!r}"
        return "cron.time_zone", problem, "name one of the tz database, e.g. Europe/Berlin"
    try:
        next(CronSim(cron.expression, datetime(2026, 1, 1, tzinfo=zone)))
    except CronSimError as error:
        problem = f"{cron.expression!r}: {error}"
        return "cron.expression", problem, "write minute hour day month weekday, e.g. 0 6 * * 1"
    except StopIteration:
        return "cron.expression", f"{cron.expression!r} never comes", "name a day that exists"
    return None


def next_planned(cron: Cron, after: datetime) -> datetime | None:
    """The first planned time after a moment, UTC; None where there is none for many years."""
    for found in CronSim(cron.expression, after.astimezone(_zone(cron.time_zone))):
        planned = found.astimezone(UTC)
        if planned > after:  # in an hour that comes twice it may be the former one
            return planned
    return None


@lru_cache(maxsize=ZONES_KEPT_MAX)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
