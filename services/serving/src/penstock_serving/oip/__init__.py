"""The Open Inference Protocol, version 2, as pure functions: paths, signatures, requests, answers.

Nothing here does I/O. Source: https://github.com/kserve/open-inference-protocol (REST).
Not spoken yet: the binary tensor extension (a request that uses it is refused by name).
"""

from penstock_serving.oip.paths import Call, Operation, parse_path
from penstock_serving.oip.request import InferRequest, decode_infer_request
from penstock_serving.oip.response import encode_infer_response, encode_metadata
from penstock_serving.oip.signature import Signature, TensorSpec, parse_signature

__all__ = [
    "Call",
    "InferRequest",
    "Operation",
    "Signature",
    "TensorSpec",
    "decode_infer_request",
    "encode_infer_response",
    "encode_metadata",
    "parse_path",
    "parse_signature",
]
