"""Train a model that says whether a flight will arrive more than 15 minutes late.

    python train.py --input training=training.parquet --param learning_rate=0.1

Input `training`: one Parquet file, a row a flight, with the columns below, the label `late` and
`event_timestamp`. The last 15 % of the period are held back: gradient boosting grows on what comes
before and its AUC on those later flights is reported as it grows, and in the result. The model that
is saved has the same parameters and has then seen all rows (`refit=false` saves the measured model
itself): delays come in spells of weather, and the newest weeks teach the most.
"""

import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

import penstock

LABEL = "late"
TIME = "event_timestamp"
# All of it is known two hours before departure. The date itself (month, day of the year) is left
# out on purpose: the coming weeks always lie outside of the dates that a model has seen.
CATEGORIES = ["origin", "dest", "carrier"]
SCHEDULE = ["distance", "day_of_week", "dep_hour", "dep_minute", "arr_hour", "scheduled_minutes"]
WEATHER = [
    *["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust"],
    *["precip", "pressure", "visib"],
]
FEATURES = CATEGORIES + SCHEDULE + WEATHER
VALIDATION_SHARE = 0.15
EXAMPLE_ROWS = 100


def read(path):
    """Read the table in order of time; every number as a float, since any may be missing."""
    table = pd.read_parquet(path, columns=[*FEATURES, LABEL, TIME])
    table = table.astype(dict.fromkeys(SCHEDULE + WEATHER, "float64"))
    return table.sort_values(TIME, kind="stable", ignore_index=True)


def count_before_validation(times):
    """Return how many of the sorted times lie before the last 15 % of the period."""
    first, last = times.iloc[0], times.iloc[-1]
    return int(times.searchsorted(last - (last - first) * VALIDATION_SHARE))


def build(params):
    """Return the untrained pipeline: a category that was never seen counts as a missing one."""
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    encode = ColumnTransformer([("categories", ordinal, CATEGORIES)], remainder="passthrough")
    boost = HistGradientBoostingClassifier(
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
        random_state=0,
        **params,
    )
    return Pipeline([("encode", encode), ("boost", boost)])


def grow(boost, features, late, split, job):
    """Fit on the rows before `split` a few rounds at a time; report the AUC on those after it."""
    rounds, report_every = boost.max_iter, job.param("report_every", 20)
    boost.set_params(warm_start=True)
    for done in [*range(report_every, rounds, report_every), rounds]:
        boost.set_params(max_iter=done).fit(features[:split], late[:split])
        probability = boost.predict_proba(features[split:])[:, 1]
        job.log(step=done, auc=roc_auc_score(late[split:], probability))
        if job.should_stop():
            sys.exit("asked to stop: nothing is saved")
    boost.set_params(warm_start=False)
    return probability


def main():
    with penstock.run(argv=sys.argv[1:]) as job:
        job.should_stop()  # from here on, a request to stop waits for the end of a step
        model = build(
            {
                "learning_rate": job.param("learning_rate", 0.08),
                "max_iter": job.param("max_iter", 80),
                "max_leaf_nodes": job.param("max_leaf_nodes", 31),
                "min_samples_leaf": job.param("min_samples_leaf", 100),
                "l2_regularization": job.param("l2_regularization", 10.0),
                "max_features": job.param("max_features", 1.0),
            }
        )
        table = read(job.input("training"))
        split, late = count_before_validation(table.pop(TIME)), table.pop(LABEL).to_numpy()
        example = table.head(EXAMPLE_ROWS).copy()
        # Encoding learns the names of the categories and nothing else, so it may see all rows.
        features = model["encode"].fit_transform(table)
        del table  # a third of the memory

        probability = grow(model["boost"], features, late, split, job)
        job.result(
            auc=roc_auc_score(late[split:], probability),
            accuracy=accuracy_score(late[split:], probability >= 0.5),
            log_loss=log_loss(late[split:], probability),
        )
        if job.param("refit", True):
            model["boost"].fit(features, late)
        job.save_model(model, example)


if __name__ == "__main__":
    main()
