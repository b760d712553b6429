"""Old histories stay readable for ever, and mean what they meant.

A history is the log of a real run (`record.py`). New code must decode each of its messages and
reach the state that is recorded beside it. Where a snapshot differs because a service now keeps
something else in memory, `python tests/replay/record.py --snapshots` writes it anew and the
difference is reviewed; where a message cannot be read any more, the contract needs an upcaster.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from folded import SNAPSHOTS, folded, plain
from history import HISTORIES, read_history, write_history
from record import MACHINE

from penstock_chassis.discovery import installed_names
from penstock_chassis.message import read_recorded
from penstock_chassis.ports import StoredMessage
from penstock_schemas import NodeRegistered, Resources, SchemaError, event_types

PATHS = sorted(HISTORIES.glob("*.jsonl"))
EVERY = pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
UNREADABLE = {
    "job.succeeded.unreadable": "not JSON",
    "experiment.requested.nonsense": "an invalid wish, answered by a refusal",
}
"""What a history holds on purpose although it cannot be read."""
NOT_SAID_YET = {
    "credential.issued": "nobody of the run has a key to the bus of their own",
    "credential.revoked": "likewise",
    "dataset.rejected": "no dataset of the run is unsound",
    "endpoint.rejected": "every endpoint of the run is sound",
    "features.pushed": "nothing pushes rows yet",
    "features.rejected": "every feature set of the run is sound",
    "job.checkpointed": "the trainer does not store checkpoints yet",
    "job.preempted": "the scheduler does not preempt yet",
    "member.added": "the run asks nobody who they are",
    "member.removed": "likewise",
    "model.demoted": "the registry does not demote yet",
    "namespace.configured": "likewise",
    "node.drained": "the scheduler does not drain yet",
    "node.lost": "the scheduler has no heartbeats yet",
    "promotion.refused": "every version of the run is better than the last",
    "promotion.rejected": "every version put forward exists",
    "queue.rejected": "the queue's quota is within the cluster",
    "trigger.deleted": "nothing of the run deletes a trigger",
    "trigger.fire-requested": "nothing of the run fires a trigger by hand",
    "trigger.pause-requested": "nothing of the run pauses a trigger",
    "trigger.resume-requested": "nothing of the run resumes a trigger",
    "trigger.skipped": "no trigger of the run feeds itself",
    "rollout.rolledback": "no revision of the run fails",
    "token.issued": "the run asks nobody who they are",
    "token.revoked": "likewise",
    "secret.deleted": "the run keeps its secret",
    "secret.set": "the demo was recorded when secrets stood in a file",
    "source.configured": "likewise, sources",
    "source.rejected": "likewise",
    "source.requested": "likewise",
    "subscription.configured": "the demo sends nothing out",
    "subscription.disabled": "likewise",
    "subscription.rejected": "likewise",
    "subscription.remove-requested": "likewise",
    "subscription.removed": "likewise",
    "subscription.replay-requested": "likewise",
    "subscription.replayed": "likewise",
    "subscription.requested": "likewise",
    "subscription.undelivered": "likewise",
    "trial.failed": "no trial of the run fails",
    "trial.pruned": "the tuner does not prune yet",
    "trigger.rejected": "every trigger of the run is sound",
}
"""Event types that no history holds, and why not."""


def kind(message: StoredMessage) -> str:
    """The verb and the id of a message's subject, with its noun."""
    return message.subject.split(".", 2)[2]


def test_there_is_a_history() -> None:
    assert PATHS


@EVERY
def test_every_message_of_a_history_is_still_read(path: Path) -> None:
    unread = {}
    for message in read_history(path):
        try:
            read_recorded(message)
        except SchemaError as error:
            unread[kind(message)] = str(error)
    assert unread.keys() == UNREADABLE.keys(), unread


@EVERY
def test_every_service_knows_after_a_history_what_it_knew_then(path: Path) -> None:
    services = folded(read_history(path))
    recorded = {file.stem: file.read_text("utf-8") for file in (SNAPSHOTS / path.stem).iterdir()}
    assert services.keys() == recorded.keys() == set(installed_names())
    for service, text in services.items():
        assert text == recorded[service], service


@EVERY
def test_a_history_gives_the_same_however_often_it_is_folded(path: Path) -> None:
    history = read_history(path)
    assert folded(history) == folded(history)


@EVERY
def test_a_changed_history_is_noticed(path: Path) -> None:
    history = read_history(path)
    whole = folded(history)
    for gone in ("job.succeeded", "model.promoted", "dataset.profiled", "features.materialized"):
        rest = [message for message in history if f".{gone}." not in message.subject]
        assert len(rest) < len(history)
        assert folded(rest) != whole, f"no service minds that {gone} is missing"


@EVERY
def test_a_history_says_nothing_of_the_machine_it_was_recorded_on(path: Path) -> None:
    for line in path.read_text("utf-8").splitlines():
        assert not MACHINE.search(line), line[:200]


def test_the_histories_hold_every_type_but_those_named_here() -> None:
    said = {kind(m).rsplit(".", 1)[0] for path in PATHS for m in read_history(path)}
    assert set(event_types()) - said == NOT_SAID_YET.keys()


def test_a_node_registered_in_version_1_is_lifted_by_the_upcaster() -> None:
    (old,) = [m for m in read_history(PATHS[0]) if kind(m) == "node.registered.older"]
    assert b'"cpus": 2' in old.payload
    assert read_recorded(old).event == NodeRegistered(
        node="older", resources=Resources(cpu=2, gpu=1), labels={"form": "version 1"}
    )


@EVERY
def test_writing_a_history_gives_back_the_very_messages(path: Path, tmp_path: Path) -> None:
    history = read_history(path)
    write_history(tmp_path / "again", history)
    assert read_history(tmp_path / "again") == history
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_bytes_that_are_no_text_and_spacing_survive_a_history(tmp_path: Path) -> None:
    (first, *_) = read_history(PATHS[0])
    odd = [
        StoredMessage(first.subject, payload, {}, number, first.time)
        for number, payload in enumerate((b"\xff\x00", b'{"a" : 1}', b"", b'{"a":1}', b"1e5"), 1)
    ]
    write_history(tmp_path / "odd", odd)
    assert read_history(tmp_path / "odd") == odd


def test_a_state_without_a_form_in_a_snapshot_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form"):
        plain({"a": object()})
