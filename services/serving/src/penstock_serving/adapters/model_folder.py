"""The files of a model folder. Light to import: the front reads signatures, never models."""

from pathlib import Path

from penstock_serving.errors import InvalidModel
from penstock_serving.oip.signature import Signature, parse_signature

MODEL_FILE = "model.joblib"
SIGNATURE_FILE = "signature.json"
MAX_SIGNATURE_BYTES = 4 * 1024 * 1024


def read_signature(model_dir: Path) -> Signature:
    """Read and check the folder's signature; raises `InvalidModel`."""
    path = model_dir / SIGNATURE_FILE
    try:
        if path.stat().st_size > MAX_SIGNATURE_BYTES:
            raise InvalidModel(f"{SIGNATURE_FILE} is larger than {MAX_SIGNATURE_BYTES} bytes")
        document = path.read_bytes()
    except OSError as error:
        raise InvalidModel(
            f"no readable {SIGNATURE_FILE} in the model: {error.strerror}"
        ) from error
    return parse_signature(document)
