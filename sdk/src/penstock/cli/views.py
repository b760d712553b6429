"""The columns of each noun's table, and its `ls` and `show`.

Columns that no row has are left out: what a view holds is the gateway's to decide.
"""

from typing import Annotated, Any, NamedTuple

import typer

from penstock.cli.output import Cell, emit_json, fields, now, say, table
from penstock.cli.session import (
    AtOption,
    JsonOption,
    NamespaceOption,
    connect,
    moment,
    pairs,
)
from penstock.cli.wording import ABSENT, ago, clock, short_id, size, value


class View(NamedTuple):
    """How a noun is shown; `columns` are its own, between the status and the age."""

    help: str
    columns: tuple[str, ...] = ()
    first: str = ""
    """The command that makes the first one."""


VIEWS: dict[str, View] = {
    "dataset": View(
        "Versions of tables.",
        ("version", "dataset_version", "files", "size_bytes", "rows"),
        "penstock dataset register NAME FOLDER",
    ),
    "features": View(
        "Feature sets, kept materialised.",
        ("dataset", "dataset_version", "training_rows", "holdout_rows"),
        "penstock event publish features.requested @features.json",
    ),
    "experiment": View(
        "Searches for the best parameters.",
        ("trials", "succeeded", "failed", "pruned", "max_trials", "best_trial", "best_value"),
        "penstock experiment run NAME train.py --space rate=0.02..0.3 --metric auc",
    ),
    "trial": View("Tries of an experiment.", ("experiment", "number", "value", "params", "job")),
    "job": View(
        "People's code, placed and run.",
        ("queue", "node", "attempt", "origin", "metrics"),
        "penstock job run train.py",
    ),
    "queue": View(
        "Where jobs wait, with their quotas.",
        ("cpu_quota", "gpu_quota", "waiting", "running", "cpu_used", "gpu_used"),
        """penstock event publish queue.requested '{"queue": "research", "cpu_quota": 8}'""",
    ),
    "node": View("What jobs run on.", ("resources", "cpu", "memory_bytes", "gpu", "labels")),
    "plan": View("The scheduler's ledger.", ("number", "placed", "preempted", "waiting")),
    "model": View(
        "Models, versions and aliases.",
        ("versions", "latest_version", "model_version", "aliases", "champion", "metrics"),
        "penstock experiment run … --model NAME",
    ),
    "promotion": View(
        "How versions earn an alias.",
        ("model", "model_version", "alias", "evidence"),
        "penstock model promote NAME VERSION",
    ),
    "endpoint": View(
        "Models that answer.",
        ("model", "alias", "model_version", "revision", "path"),
        """penstock event publish endpoint.requested '{"endpoint": "e", "model": "m"}'""",
    ),
    "rollout": View(
        "Switches from one revision to the next.",
        ("endpoint", "revision", "model", "model_version", "weight_percent", "seconds"),
    ),
    "trigger": View(
        "When this happens, do that.",
        ("on", "when", "rules", "fired", "skipped", "refused", "last_fired_at"),
        "penstock trigger apply -f retrain.yaml",
    ),
    "namespace": View(
        "Namespaces that documents set up.",
        ("description",),
        "penstock apply -f vision.yaml",
    ),
    "member": View(
        "Who has which role here.", ("role", "by"), "penstock member add ACCOUNT --role editor"
    ),
    "token": View(
        "API tokens: what they are for and until when.",
        ("account", "role", "namespaces", "expires_at", "description", "by"),
        "penstock token create",
    ),
    "credential": View(
        "Key pairs that open the bus, or the object store, itself.",
        ("kind", "role", "public_key", "description", "by"),
        "penstock credential create",
    ),
    "source": View(
        "Who may send webhooks.",
        ("scheme", "secrets", "path"),
        "penstock source declare NAME --scheme standard",
    ),
    "webhook": View("Verified deliveries from outside.", ("source", "kind", "delivery", "data")),
    "subscription": View(
        "Where events are sent.",
        ("url", "types", "ordered", "secret", "undelivered"),
        "penstock subscription add NAME URL --type model.promoted",
    ),
    "secret": View(
        "Values that the platform alone reads.",
        ("fingerprint", "values", "by", "set_at"),
        "penstock secret set NAME",
    ),
}
_NUMBERS = (int, float)
CELL_LENGTH_MAX = 60
"""Characters of one cell of `ls`; `show` and `--json` cut nothing."""
_IDS = ("job", "promotion", "origin", "cause")


def add_views(app: typer.Typer, noun: str) -> None:
    """Give the noun's commands `ls` and `show`."""

    def ls(
        namespace: NamespaceOption = None,
        at: AtOption = None,
        status: Annotated[str | None, typer.Option(help="Only those in this status.")] = None,
        where: Annotated[
            list[str] | None, typer.Option(help="Only those with COLUMN=VALUE; repeatable.")
        ] = None,
        limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
        json_output: JsonOption = False,
    ) -> None:
        filters: dict[str, Any] = pairs(where or [], "--where")
        if status is not None:
            filters["status"] = status
        with connect(namespace) as client:
            found = client.things(noun).list(at=moment(at), limit=limit, **filters)
            rows = found.all()
        true_at = {"position": found.position, "at": found.at or moment(at)}
        if json_output:
            emit_json({"items": rows, **true_at})
            return
        if rows:
            table(*_grid(noun, rows, namespace == "-"))
        else:
            _say_none(noun, client.namespace, bool(filters), at is not None)
        if at is not None:
            say(f"true at {true_at['at']}, position {true_at['position']} of the log")

    def show(
        id: Annotated[str, typer.Argument(help="Its name or id, or either end of the id.")],
        namespace: NamespaceOption = None,
        at: AtOption = None,
        json_output: JsonOption = False,
    ) -> None:
        with connect(namespace) as client:
            row = client.things(noun).find(id, at=moment(at))
        if json_output:
            emit_json(row)
        else:
            fields({name: _cell(name, found, whole=True) for name, found in row.items()})

    app.command("ls", help=f"List: {VIEWS[noun].help}")(ls)
    app.command("show", help=f"Show one {noun}.")(show)


def _grid(noun: str, rows: list[Any], with_namespace: bool) -> tuple[list[str], list[list[Cell]]]:
    names = ["namespace"] if with_namespace else []
    names += ["id", "status", *VIEWS[noun].columns]
    present = [name for name in names if any(row.get(name) not in (None, "") for row in rows)]
    headers = [noun if name == "id" else name.removesuffix("_bytes") for name in present]
    grid = [[_cell(name, row.get(name)) for name in present] for row in rows]
    if any(row.get("updated_at") for row in rows):
        headers.append("age")
        for cells, row in zip(grid, rows, strict=True):
            cells.append(Cell(ago(row.updated_at, now()) if row.updated_at else ABSENT))
    if any(row.get("reason") for row in rows):
        headers.append("reason")
        for cells, row in zip(grid, rows, strict=True):
            cells.append(Cell(value(row.reason)))
    return [header.replace("_", " ") for header in headers], grid


def _cell(name: str, found: Any, whole: bool = False) -> Cell:
    number = isinstance(found, _NUMBERS) and not isinstance(found, bool)
    if name.endswith("_bytes") and number:
        return Cell(size(found) + (f" ({found:,} bytes)" if whole else ""), number=True)
    if name.endswith("_at") and isinstance(found, str):
        return Cell(_time(found, whole))
    if not whole and isinstance(found, list) and any(isinstance(one, dict) for one in found):
        return Cell(str(len(found)), number=True)  # records: `show` has them whole
    text = value(found)
    if not whole and isinstance(found, str):
        text = _short(name, text)
    if not whole and len(text) > CELL_LENGTH_MAX:
        text = text[: CELL_LENGTH_MAX - 1] + "…"
    return Cell(text, status=text if name == "status" else "", number=number)


def _short(name: str, text: str) -> str:
    if name.endswith(("version", "digest")) and ":" in text:
        return text.partition(":")[2][:8]
    return short_id(text) if name == "id" or name in _IDS else text


def _time(text: str, whole: bool) -> str:
    from penstock.client.records import read_time  # noqa: PLC0415

    time = read_time(text)
    if time is None:
        return ABSENT
    return f"{text} ({ago(time, now())} ago)" if whole else clock(time, now())


def _say_none(noun: str, namespace: str, filtered: bool, past: bool) -> None:
    plural = noun if noun.endswith("s") else noun + "s"
    if filtered:
        say(f"no {plural} in {namespace} match")
    elif past:
        say(f"there were no {plural} in {namespace} yet")
    else:
        first = VIEWS[noun].first
        say(f"no {plural} in {namespace} yet" + (f"; make the first: {first}" if first else ""))
