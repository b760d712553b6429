"""Predict offline: what a served version must answer to the same rows.

    python predict.py MODEL_FOLDER holdout.parquet --rows 5

prints one JSON object: `request`, these rows as an Open Inference Protocol v2 request, and
`probability`, the model's own answer to them, computed here without any server.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from penstock.model_folder import input_columns, load_model


def infer_request(frame: pd.DataFrame, signature: dict[str, Any]) -> dict[str, Any]:
    """One input a column, as `signature` names and types them; a missing value is null."""
    return {
        "inputs": [
            {
                "name": one["name"],
                "datatype": one["datatype"],
                "shape": [len(frame)],
                "data": [None if pd.isna(v) else v for v in frame[one["name"]].tolist()],
            }
            for one in signature["inputs"]
        ]
    }


def main() -> None:
    """Print the request and the answer."""
    parser = argparse.ArgumentParser(description="Predict offline with a model folder.")
    parser.add_argument("model", type=Path, help="a folder that job.save_model wrote")
    parser.add_argument("table", type=Path, help="a Parquet file with the model's columns")
    parser.add_argument("--rows", type=int, default=5, help="the first so many rows")
    options = parser.parse_args()
    model, signature = load_model(options.model)
    frame = pd.read_parquet(options.table).head(options.rows)
    probability = model.predict_proba(frame[input_columns(signature)])[:, 1]
    print(
        json.dumps(
            {"request": infer_request(frame, signature), "probability": probability.tolist()}
        )
    )


if __name__ == "__main__":
    main()
