"""One worker template for the whole run (its imports take seconds), and small real models."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock_serving.adapters.worker_template import WorkerTemplate
from penstock_serving.testing.models import (
    Trained,
    train_boosting,
    train_regression,
    write_constant_model,
)


@pytest.fixture(scope="session")
def template() -> Iterator[WorkerTemplate]:
    template = WorkerTemplate()
    yield template
    template.close()


@pytest.fixture(scope="session")
def constant_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    root = tmp_path_factory.mktemp("constant")
    return lambda value: write_constant_model(root / str(value), float(value))


@pytest.fixture(scope="session")
def boosting(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_boosting(tmp_path_factory.mktemp("boosting"))


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_regression(tmp_path_factory.mktemp("regression"))
