"""Say once what shall happen with flights; from here on events do the rest.

Everything here is a wish in the log: which features follow from the dataset, where the model is
served, who may send webhooks, and three triggers (months arrived, a first baseline, retraining
with a gate).
"""

import tempfile
from pathlib import Path
from typing import Any

from penstock.client.sync import Client
from penstock_schemas import (
    Action,
    EndpointRequested,
    FeaturesRequested,
    ObjectRef,
    TriggerRequested,
)

HERE = Path(__file__).parent
NAME = "flight-lateness"
"""Of the features, the model and the endpoint alike."""
DATASET = "flights"
SOURCE = "airline"
"""The sender of webhooks that say which months have arrived."""
HOLDOUT_DAYS = 10
TRIALS = 8
PARALLEL_TRIALS = 2
MIN_GAIN_AUC = 0.002
SCRIPTS = ("train.py", "baseline.py", "evaluate.py")


def declare(client: Client, namespace: str) -> None:
    """Publish the wishes."""
    with tempfile.TemporaryDirectory() as folder:
        for script in SCRIPTS:
            (Path(folder) / script).write_bytes((HERE / script).read_bytes())
        scripts = client.upload(folder)
    client.publish(
        FeaturesRequested(
            features=NAME,
            dataset=DATASET,
            repository=client.upload(HERE / "features"),
            feature_service="flight_lateness",
            entity_table="flights",
            holdout_days=HOLDOUT_DAYS,
        )
    )
    client.publish(EndpointRequested(endpoint=NAME, model=NAME))
    client.source.declare(SOURCE, "standard")
    client.publish(_months_arrived(namespace))
    client.publish(_baseline(scripts))
    client.publish(_retrain(scripts))


def _months_arrived(namespace: str) -> TriggerRequested:
    """A signed delivery of new files becomes the dataset's next version."""
    return _trigger(
        "months-arrived",
        "webhook.received",
        f"meta.namespace == '{namespace}' && event.source == '{SOURCE}'",
        "dataset.requested",
        {"dataset": DATASET, "files": "${event.data.files}", "extends": "latest"},
    )


def _baseline(scripts: ObjectRef) -> TriggerRequested:
    """The first features train the incumbent that says "on time" always."""
    return _trigger(
        "baseline",
        "features.materialized",
        f"event.features == '{NAME}' && number == 1",
        "job.requested",
        {
            "job": "baseline",
            "program": _program("baseline.py", scripts),
            "inputs": {"training": "${event.training}"},
            "target": {"model": NAME, "gate": None},
        },
    )


def _retrain(scripts: ObjectRef) -> TriggerRequested:
    """All new features start a search; its best model must beat the incumbent on later flights."""
    gate = {
        "program": _program("evaluate.py", scripts),
        "objective": {"metric": "auc"},
        "inputs": {"holdout": "${event.holdout}"},
        "min_gain": MIN_GAIN_AUC,
    }
    return _trigger(
        "retrain",
        "features.materialized",
        f"event.features == '{NAME}'",
        "experiment.requested",
        {
            "experiment": "flights-${string(number)}",
            "program": _program("train.py", scripts),
            "space": {
                "learning_rate": {"kind": "float", "low": 0.03, "high": 0.2, "log": True},
                "max_leaf_nodes": {"kind": "int", "low": 8, "high": 48},
                "min_samples_leaf": {"kind": "int", "low": 20, "high": 300, "log": True},
                "max_iter": {"kind": "int", "low": 40, "high": 80},
            },
            "objective": {"metric": "auc"},
            "max_trials": TRIALS,
            "parallel_trials": PARALLEL_TRIALS,
            "seed": 7,
            "params": {"report_every": 20},
            "inputs": {"training": "${event.training}"},
            "target": {"model": NAME, "gate": gate},
        },
    )


def _program(script: str, source: ObjectRef) -> dict[str, Any]:
    return {"command": ["{python}", script], "source": source.model_dump(mode="json")}


def _trigger(name: str, on: str, when: str, type: str, data: dict[str, Any]) -> TriggerRequested:
    return TriggerRequested(trigger=name, on=on, when=when, do=Action(type=type, data=data))
