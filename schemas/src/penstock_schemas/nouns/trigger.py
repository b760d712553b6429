"""Webhooks and triggers: how the outside and the inside set things off."""

from typing import Annotated, Literal

from pydantic import Field

from penstock_schemas.event import ANYONE, Event, Value
from penstock_schemas.names import Name
from penstock_schemas.nouns.parts import Count, Json, Positive, Reason, Refusal, ShortText, Time

SPAN_SECONDS_MAX = 31 * 86_400
"""The longest time that a trigger may wait, gather or hold back."""
CAUSES_LISTED_MAX = 100
"""Events that a firing names, the newest; the count says how many there were."""


class WebhookReceived(Event):
    """A delivery whose signature was verified. Its id is derived from the sender's delivery id,
    so that the same delivery sent again is the same event, for as long as the log is kept."""

    type = "webhook.received"
    key = "webhook"
    owner = "gateway"
    example = {
        "webhook": "7c0c7a5e-9a51-5b5f-9f6d-0d7d6c1a0001",
        "source": "airline",
        "delivery": "msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
        "kind": "months.arrived",
        "data": {"type": "months.arrived", "months": [4, 5, 6]},
    }

    webhook: Name
    source: Annotated[Name, Field(description="The configured sender")]
    delivery: Annotated[ShortText, Field(description="The sender's own id of the delivery")]
    kind: Annotated[
        str,
        Field(max_length=256, description="The sender's word for it, e.g. `push`, or empty"),
    ] = ""
    data: Annotated[Json, Field(description="The body as it was sent")]


ExactType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
TypePattern = Annotated[
    str,
    Field(
        pattern=r"^(\*|[a-z0-9-]+)\.(\*|[a-z0-9-]+)$",
        description="An event type; `*` stands for any noun or any verb",
    ),
]
Span = Annotated[float, Field(gt=0, le=SPAN_SECONDS_MAX)]
FiringKey = Annotated[
    str,
    Field(
        max_length=128,
        description="Which firing of the trigger: the sequence of the last event that it is for, "
        "and the planned time. Empty in firings of the first release: there the cause says it",
    ),
]
Planned = Annotated[Time | None, Field(description="The planned time, of a cron trigger's firing")]
Through = Annotated[
    Count, Field(description="The log's sequence of the last event that it is for, 0 for none")
]


class Action(Value):
    """The event that a firing appends. Strings in `data` of the form `${…}` are CEL expressions
    over `event` (its payload), `row` (what the event's own thing was after it), `meta` (id, type,
    namespace, sequence, time), `events` (the payloads that were gathered), `count` (how many) and
    `number` (the count of this firing); `$${` stands for a literal `${`."""

    type: Annotated[
        str,
        Field(pattern=r"^[a-z0-9-]+\.([a-z0-9-]+-)?requested$", description="The wish to append"),
    ]
    data: Annotated[dict[str, Json], Field(description="Its payload, with expressions")]


class Debounce(Value):
    """Fire once no further event has matched for a while, for all that came."""

    quiet_seconds: Annotated[Span, Field(description="Without a match for so long")]
    wait_seconds_max: Annotated[
        Span | None, Field(description="However busy it is, fire so long after the first")
    ] = None


class Batch(Value):
    """Fire once for several events."""

    size: Annotated[int, Field(ge=1, le=1000, description="So many events are one firing")]
    wait_seconds_max: Annotated[
        Span | None, Field(description="Fire with fewer so long after the first; none: never")
    ] = None


class Throttle(Value):
    """Fire at most so often in any stretch of time; what comes beyond is dropped."""

    count: Annotated[int, Field(ge=1, le=1000, description="Firings")]
    seconds: Annotated[Span, Field(description="In so long")]


class Concurrency(Value):
    """What to do while that which the last firing asked for has not ended."""

    policy: Annotated[
        Literal["queue", "replace", "skip"],
        Field(description="Wait for its end; cancel it; or do not fire"),
    ]
    lasts_seconds_max: Annotated[
        Span, Field(description="An end that is not heard of for so long is taken to have come")
    ] = 86_400


class Cron(Value):
    """Fire at planned times instead of for events."""

    expression: Annotated[
        str, Field(max_length=255, description="Minute, hour, day, month, weekday, e.g. 0 6 * * 1")
    ]
    time_zone: Annotated[
        str, Field(max_length=64, description="Of the tz database, e.g. Europe/Berlin")
    ] = "UTC"
    missed: Annotated[
        Literal["skip", "once", "all"],
        Field(description="Times that passed while nothing ran: skip them, fire once, or for each"),
    ] = "once"


class TriggerRequested(Event):
    """When an event of a type in `on` appears for which `when` (CEL) holds, or at the times of
    `cron`, do `do`, as often as the rest allows. It takes the place of the same name's former."""

    type = "trigger.requested"
    key = "trigger"
    owner = ANYONE
    declarative = True
    example = {
        "trigger": "retrain",
        "on": "features.materialized",
        "when": "event.features == 'flight-lateness'",
        "do": {
            "type": "experiment.requested",
            "data": {
                "experiment": "flights-${string(number)}",
                "program": {"command": ["{python}", "train.py"]},
                "space": {"learning_rate": {"kind": "float", "low": 0.02, "high": 0.3}},
                "objective": {"metric": "auc", "goal": "maximize"},
                "max_trials": 8,
            },
        },
        "paused": False,
        "at_most_every_seconds": 3600,
    }

    trigger: Name
    on: Annotated[
        ExactType | TypePattern | tuple[TypePattern, ...],
        Field(description="Event types; `*` in the noun's place leaves triggers out"),
    ] = ()
    when: Annotated[
        str, Field(max_length=8192, description="CEL expression that gives true or false")
    ] = "true"
    do: Action
    paused: Annotated[bool, Field(description="Set up, but does not fire")] = False
    debounce: Debounce | None = None
    batch: Batch | None = None
    cooldown_seconds: Annotated[
        Span | None, Field(description="After a firing, what matches for so long is dropped")
    ] = None
    throttle: Throttle | None = None
    at_most_every_seconds: Annotated[
        Span | None,
        Field(description="After a firing, what matches for so long is one firing at its end"),
    ] = None
    concurrency: Concurrency | None = None
    cron: Cron | None = None


class TriggerPauseRequested(Event):
    """The trigger shall judge nothing that comes from here on. What it gathered is dropped."""

    type = "trigger.pause-requested"
    key = "trigger"
    owner = ANYONE
    example = {"trigger": "retrain", "reason": "the cluster is being moved"}

    trigger: Name
    reason: Annotated[str, Field(max_length=1024, description="Why, for a person")] = ""


class TriggerResumeRequested(Event):
    """The trigger shall judge again what comes from here on."""

    type = "trigger.resume-requested"
    key = "trigger"
    owner = ANYONE
    example = {"trigger": "retrain"}

    trigger: Name


class TriggerFireRequested(Event):
    """The trigger shall fire now: once, whatever `on`, `when`, its times and a pause say."""

    type = "trigger.fire-requested"
    key = "trigger"
    owner = ANYONE
    example = {"trigger": "retrain", "data": {"features": "flight-lateness"}}

    trigger: Name
    data: Annotated[dict[str, Json], Field(description="What `event` is in its expressions")] = (
        Field(default_factory=dict)
    )
    by_admin: Annotated[
        bool,
        Field(
            description="Whether an admin of the namespace sends it, which the API says: it takes "
            "one where the trigger asks for what only admins may send"
        ),
    ] = False


class TriggerDeleted(Event):
    """The trigger is no more: what it gathered or was about to fire is dropped, and nothing is
    planned. Declared again, it begins anew, its count of firings too."""

    type = "trigger.deleted"
    key = "trigger"
    owner = "gateway"
    withdraws = True
    example = {"trigger": "retrain", "by": "ada", "reason": "the model is retired"}

    trigger: Name
    by: Annotated[ShortText, Field(description="The account that decided it")]
    reason: Annotated[str, Field(max_length=1024, description="Why, for a person")] = ""


class TriggerFired(Event):
    """The trigger fired, once for what it names; appended in one batch with what it asked for."""

    type = "trigger.fired"
    key = "trigger"
    owner = "gateway"
    example = {
        "trigger": "retrain",
        "number": 1,
        "cause": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "cause_type": "features.materialized",
        "produced_type": "experiment.requested",
        "produced_id": "flights-1",
        "firing": "1207@",
        "through": 1207,
        "due": "2026-01-01T00:00:05Z",
        "count": 2,
        "causes": [
            "0190c2a4-7b1e-7c30-8f00-000000000000",
            "0190c2a4-7b1e-7c30-8f00-000000000001",
        ],
    }

    trigger: Name
    number: Annotated[Count, Field(description="Count of this firing of the trigger")]
    cause: Annotated[
        str,
        Field(
            description="The id of the last event that it fired for; of a planned time, of the "
            "declaration"
        ),
    ]
    cause_type: Annotated[str, Field(description="The type of that event")]
    produced_type: Annotated[str, Field(description="The type of the event that it appended")]
    produced_id: Annotated[Name, Field(description="The aggregate of the event that it appended")]
    firing: FiringKey = ""
    through: Through = 0
    planned: Planned = None
    due: Annotated[
        Time | None, Field(description="When it was to fire, by the times of the log")
    ] = None
    count: Annotated[Count, Field(description="Events, or planned times, that it stands for")] = 1
    causes: Annotated[
        tuple[str, ...],
        Field(
            max_length=CAUSES_LISTED_MAX,
            description="Ids of the events that it is for, where they are several",
        ),
    ] = ()


class TriggerSkipped(Event):
    """The trigger did not fire though its condition held, and this is why. Said where a rule
    stops it against its owner's likely wish, once per cause; not for each event that does not
    match or comes too often (`penstock trigger explain` says those)."""

    type = "trigger.skipped"
    key = "trigger"
    owner = "gateway"
    example = {
        "trigger": "retrain",
        "kind": "loop",
        "cause": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "cause_type": "features.materialized",
        "reason": "the trigger feeds itself: 8 of its own firings led to this event",
        "firing": "1207@",
        "through": 1207,
        "count": 1,
    }

    trigger: Name
    kind: Annotated[
        Literal["loop", "running", "full", "missed"],
        Field(
            description="It feeds itself; what it asked for still runs; too many firings wait for "
            "that; or the planned time passed while nothing ran"
        ),
    ]
    cause: Annotated[str, Field(description="The id of the event that it did not fire for")]
    cause_type: Annotated[str, Field(description="The type of that event")]
    reason: Reason
    firing: FiringKey = ""
    through: Through = 0
    planned: Planned = None
    count: Annotated[Positive, Field(description="Firings that it stands for")] = 1


class TriggerRejected(Event, Refusal):
    """The trigger cannot be set up, or one firing of it could not be made."""

    type = "trigger.rejected"
    key = "trigger"
    owner = "gateway"
    example = {
        "trigger": "retrain",
        "request": "0190c2a4-7b1e-7c30-8f00-000000000001",
        "reason": "when: syntax error at column 12",
        "field": "when",
        "fix": "write a CEL expression that gives true or false",
    }

    trigger: Name
    firing: FiringKey = ""
    through: Through = 0
    planned: Planned = None
