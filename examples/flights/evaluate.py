"""Measure a candidate, and the incumbent if there is one, on the same held-out later flights.

    python evaluate.py --input candidate=CANDIDATE --input incumbent=INCUMBENT \
        --input holdout=holdout.parquet

Inputs `candidate` and `incumbent` are model folders (or a job's output with `model/` in it);
`holdout` is a Parquet file with the models' columns and the label `late`, of flights later than
those that either has seen. The result has `candidate_auc`, `candidate_accuracy`,
`candidate_log_loss`, the same for `incumbent` where it is given, and `rows`. Who wins is not
decided here: that is the gate's business.
"""

import sys

import pandas as pd
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

import penstock
from penstock.model_folder import input_columns, load_model

LABEL = "late"


def measure(folder, table):
    """Return AUC, accuracy and log loss of the model in `folder` on the rows of `table`."""
    model, signature = load_model(folder)
    columns = input_columns(signature)
    numbers = [c["name"] for c in signature["inputs"] if c["datatype"] == "FP64"]
    features = table[columns].astype(dict.fromkeys(numbers, "float64"))
    probability = model.predict_proba(features)[:, 1]
    return {
        "auc": roc_auc_score(table[LABEL], probability),
        "accuracy": accuracy_score(table[LABEL], probability >= 0.5),
        "log_loss": log_loss(table[LABEL], probability, labels=[0, 1]),
    }


def main():
    with penstock.run(argv=sys.argv[1:]) as job:
        table = pd.read_parquet(job.input("holdout"))
        if table[LABEL].nunique() < 2:
            sys.exit("input 'holdout' must have flights that were late and flights that were not")
        metrics = {"rows": len(table)}
        for role in ("candidate", "incumbent"):
            if role == "candidate" or role in job.inputs:
                measured = measure(job.input(role), table)
                metrics |= {f"{role}_{name}": value for name, value in measured.items()}
        job.result(**metrics)
        for name, value in metrics.items():
            print(f"{name:20} {value:.4f}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()
