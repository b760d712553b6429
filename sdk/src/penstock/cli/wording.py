"""How things are said to a person: short ids, times, amounts, and one line an event. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from penstock.client import RecordedEvent

SHORT_ID_LENGTH = 8
ABSENT = "–"

Kind = Literal["waiting", "running", "ok", "failed", "attention", "evicted", "plain"]
STYLES: dict[Kind, str] = {
    "waiting": "bright_black",
    "running": "blue",
    "ok": "green",
    "failed": "red",
    "attention": "yellow",
    "evicted": "magenta",
    "plain": "",
}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("requested", "queued", "waiting", "pending", "new"), "waiting"),
    **dict.fromkeys(("fire-requested", "pause-requested", "resume-requested"), "waiting"),
    **dict.fromkeys(("replay-requested", "remove-requested"), "waiting"),
    **dict.fromkeys(("started", "placed", "running", "advanced", "checkpointed"), "running"),
    **dict.fromkeys(
        ("starting", "rolling", "searching", "judging", "received", "replayed"), "running"
    ),
    **dict.fromkeys(("succeeded", "completed", "ready", "promoted", "registered"), "ok"),
    **dict.fromkeys(
        ("profiled", "materialized", "configured", "set", "fired", "active", "pushed", "committed"),
        "ok",
    ),
    **dict.fromkeys(("issued", "added", "member"), "ok"),
    **dict.fromkeys(("failed", "lost", "rolledback", "unreadable", "undelivered"), "failed"),
    **dict.fromkeys(("disabled",), "failed"),
    **dict.fromkeys(
        ("rejected", "refused", "demoted", "drained", "paused", "skipped"), "attention"
    ),
    **dict.fromkeys(
        ("preempted", "pruned", "cancelled", "cancel-requested", "deleted", "removed"), "evicted"
    ),
    **dict.fromkeys(("revoked",), "evicted"),
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def kind_of(status: str) -> Kind:
    """The kind of a status or of an event's verb; it decides the colour."""
    return _KINDS.get(status, "plain")


def short_id(id: str) -> str:
    """A name as it is; of a UUID the last 8 hex digits, since its first ones are the time."""
    return id[-SHORT_ID_LENGTH:] if _UUID.fullmatch(id) else id


def clean(text: str) -> str:
    """Text of strangers for a terminal: one line, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def last_line(text: str) -> str:
    """The last line of some output that says anything: what a failed program said at its end."""
    lines = [line for line in map(clean, text.splitlines()) if line]
    return lines[-1] if lines else ""


def _source(data: Mapping[str, Any]) -> str:
    on, cron = data["on"], data.get("cron")
    if cron:
        return f"at {cron['expression']} {cron.get('time_zone', 'UTC')}"
    return f"on {on if isinstance(on, str) else ', '.join(on)}"


def _failure(data: Mapping[str, Any]) -> str:
    said = last_line(data.get("log_tail") or "")
    again = "" if data["final"] else "; will be tried again"
    return f"{data['reason']}{again}{f': {said}' if said else ''}"


def seconds_of(text: str) -> float:
    """A duration such as `30m`, `1h30m` or `90s`, in seconds; raises `ValueError`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration: write 90s, 30m, 1h30m or 2d")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def moment_of(text: str, now: datetime) -> str:
    """A time for the API: RFC 3339 text (local where it has no zone), or a duration ago."""
    try:
        return (now - timedelta(seconds=seconds_of(text))).astimezone(UTC).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-11-24T10:00:00Z, or 10m for ten minutes ago"
        ) from None


def clock(time: datetime, now: datetime) -> str:
    """A time of day in the local zone, with the date where that is not today's."""
    local, today = time.astimezone(), now.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == today.date() else f"{local:%Y-%m-%d %H:%M:%S}"


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in its largest unit: `12s`, `4m`, `3h`, `2d`."""
    seconds = max(0.0, (now - time).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


def size(size_bytes: float) -> str:
    """An amount of bytes with three digits: `12.3 MiB`."""
    step = 0
    while size_bytes >= 1000 and step < len(_BYTE_UNITS) - 1:
        size_bytes, step = size_bytes / 1024, step + 1
    return f"{size_bytes:.3g} {_BYTE_UNITS[step]}"


def value(found: Any) -> str:
    """Any value of a row in a cell."""
    if found in (None, "", [], {}):
        return ABSENT
    match found:
        case bool():
            return "yes" if found else "no"
        case float():
            return f"{found:.4g}"
        case Mapping() if all(isinstance(one, int | float | str) for one in found.values()):
            return " ".join(f"{name}={value(one)}" for name, one in found.items())
        case Mapping() | list():
            return json.dumps(found, separators=(",", ":"))
        case _:
            return clean(str(found))


def what(event: "RecordedEvent") -> str:
    """What happened, in a few words, beyond the type and the id."""
    if event.problem is not None:
        return clean(f"not readable: {event.problem}")
    words = _WHAT.get(event.type)
    try:
        said = words(event.payload) if words else _reason(event.payload)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        said = _reason(event.payload)  # an older or newer version of the event
    return clean(said)


Data = Mapping[str, Any]


def _reason(data: Data) -> str:
    field, reason = data.get("field"), data.get("reason")
    return f"{field}: {reason}" if field and reason else str(reason or "")


def _metrics(data: Data) -> str:
    return value(data.get("metrics") or {}) if data.get("metrics") else ""


def _command(data: Data) -> str:
    return " ".join(data["program"]["command"])


def _origin(data: Data) -> str:
    origin = data.get("origin")
    return f", for {origin['noun']} {short_id(origin['id'])}" if origin else ""


def _attempt(data: Data) -> str:
    return f"attempt {data['attempt']} " if data.get("attempt", 1) > 1 else ""


def _quota(data: Data) -> str:
    limits = {"CPUs": data.get("cpu_quota"), "GPUs": data.get("gpu_quota")}
    given = [f"{limit:g} {unit}" for unit, limit in limits.items() if limit is not None]
    return "at most " + " and ".join(given) if given else "no limit" if data else ""


def _digest(text: str) -> str:
    return text.partition(":")[2][:SHORT_ID_LENGTH]


_WHAT: dict[str, Callable[[Data], str]] = {
    "dataset.requested": lambda d: (
        f"{len(d['files'])} files" + (f", onto {d['extends']}" if d.get("extends") else "")
    ),
    "dataset.registered": lambda d: (
        f"version {_digest(d['dataset_version'])}: {d['files']} files, {size(d['size_bytes'])}"
    ),
    "dataset.profiled": lambda d: (
        ", ".join(f"{t['table']} {t['rows']:,} rows" for t in d["tables"])
        + f" in {d['seconds']:.3g} s"
    ),
    "features.requested": lambda d: f"from dataset {d['dataset']}, by {d['feature_service']}",
    "features.pushed": lambda d: f"{d['row_count']:,} rows of {d['view']}",
    "features.materialized": lambda d: (
        f"{d['training_rows']:,} rows to train on, {d['holdout_rows']:,} held out, "
        f"in {d['seconds']:.3g} s"
    ),
    "job.requested": lambda d: f"{_command(d)}{_origin(d)}",
    "job.queued": lambda d: f"in {d['queue']}: {d['reason']}",
    "job.placed": lambda d: f"{_attempt(d)}on {d['node']}: {d['reason']}",
    "job.started": lambda d: f"{_attempt(d)}on {d['node']}",
    "job.checkpointed": lambda d: f"at step {d['step']}",
    "job.succeeded": lambda d: f"in {d['seconds']:.3g} s {_metrics(d)}",
    "job.failed": _failure,
    "experiment.requested": lambda d: (
        f"{d['max_trials']} trials of {_command(d)}, to {d['objective'].get('goal', 'maximize')} "
        f"{d['objective']['metric']}"
    ),
    "experiment.completed": lambda d: (
        f"best {d['best_trial']} with {d['best_value']:.4g}; {d['reason']}"
        if d.get("best_trial")
        else d["reason"]
    ),
    "trial.started": lambda d: value(d["params"]),
    "trial.completed": lambda d: f"{d['value']:.4g} ({_metrics(d)})",
    "model.registered": lambda d: f"version {d['model_version']} {_metrics(d)}",
    "model.promoted": lambda d: f"version {d['model_version']} is {d['alias']}: {d['reason']}",
    "model.demoted": lambda d: f"version {d['model_version']} was {d['alias']}: {d['reason']}",
    "promotion.requested": lambda d: (
        f"{d['model']} version {d['model_version']} for {d.get('alias', 'champion')}"
        + (", through a gate" if d.get("gate") else "")
    ),
    "promotion.refused": lambda d: f"{d['model']} version {d['model_version']}: {d['reason']}",
    "endpoint.requested": lambda d: f"serve {d['model']}, {d.get('alias', 'champion')}",
    "endpoint.ready": lambda d: f"answers at {d['path']}",
    "rollout.started": lambda d: d["reason"],
    "rollout.advanced": lambda d: f"{d['weight_percent']:g} % of requests",
    "rollout.completed": lambda d: (
        f"{d['model']} version {d['model_version']} serves all requests, after {d['seconds']:.3g} s"
    ),
    "trigger.requested": lambda d: f"{_source(d)}, when {d.get('when', 'true')}",
    "trigger.pause-requested": lambda d: d["reason"] or f"trigger {d['trigger']}",
    "trigger.deleted": lambda d: f"by {d['by']}" + (f": {d['reason']}" if d["reason"] else ""),
    "trigger.resume-requested": lambda d: f"trigger {d['trigger']}",
    "trigger.fire-requested": lambda d: f"by hand {value(d['data'])}",
    "trigger.skipped": lambda d: f"{d['kind']}: {d['reason']}",
    "trigger.fired": lambda d: f"for {d['cause_type']}: {d['produced_type']} {d['produced_id']}",
    "namespace.configured": lambda d: f"members {value(d['members'])}",
    "member.added": lambda d: f"{d['role']}, by {d['by']}",
    "member.removed": lambda d: f"by {d['by']}",
    "token.issued": lambda d: f"for {d['account']}, {d['role']}, until {d['expires_at']}",
    "token.revoked": lambda d: f"by {d['by']}: {d['reason'] or 'no reason given'}",
    "credential.issued": lambda d: f"{d['kind']}, {d['role']}, by {d['by']}",
    "credential.revoked": lambda d: f"by {d['by']}: {d['reason'] or 'no reason given'}",
    "webhook.received": lambda d: (
        f"from {d['source']}: {d['kind'] + ' ' if d.get('kind') else ''}{json.dumps(d['data'])}"
    ),
    "source.requested": lambda d: f"{d['scheme']}, by {', '.join(d['secrets'])}",
    "source.configured": lambda d: f"{d['scheme']}, at {d['path']}",
    "subscription.requested": lambda d: f"{', '.join(d['types'])} to {d['url']}",
    "subscription.configured": lambda d: f"{', '.join(d['types'])} to {d['url']}",
    "subscription.replay-requested": lambda d: f"after {d['since'] or d['after']}",
    "subscription.replayed": lambda d: f"after {d['since'] or d['after']}, up to {d['until']}",
    "subscription.undelivered": lambda d: (
        f"{d['event_type']} {short_id(d['event'])} given up after {d['attempts']} tries: "
        f"{d['reason']}"
    ),
    "secret.set": lambda d: f"fingerprint {d['fingerprint']}, {d['values']} open, by {d['by']}",
    "secret.deleted": lambda d: f"fingerprint {d['fingerprint']}, by {d['by']}",
    "queue.requested": _quota,
    "queue.configured": _quota,
    "node.registered": lambda d: value(d["resources"]),
    "plan.committed": lambda d: (
        f"page {d['number']}: {d['placed']} placed, {d['preempted']} preempted, "
        f"{d['waiting']} waiting"
    ),
}
