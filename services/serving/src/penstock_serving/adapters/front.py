"""The inference front: Open Inference Protocol over HTTP, in the service's own event loop.

An endpoint's base URL is `http://host:port/{namespace}/{endpoint}`; below it are the protocol's
paths. Every answer to an inference names the model version in its body and the revision in the
header `penstock-revision`. Errors are `{"error": …}`: 400 not valid, 401 not recognised, 404 no
such endpoint or none that one may see, 429 queue full, 501 part of the protocol not spoken, 503
none ready (429 and 503 with `retry-after`), 500 the model failed.
Routing and taking a request happen in one step of the event loop, so a switch of revisions falls
between requests, never inside one.
"""

import contextlib
import logging
import time
from asyncio import Future
from collections.abc import Callable
from importlib.metadata import version

import orjson
from prometheus_client import CollectorRegistry

from penstock_serving.adapters.front_metrics import UNKNOWN, FrontMetrics
from penstock_serving.adapters.gate import Gate
from penstock_serving.adapters.http_messages import (
    Cancel,
    HttpLimits,
    Reply,
    Request,
    Response,
    error_response,
)
from penstock_serving.adapters.http_server import HttpServer
from penstock_serving.errors import (
    InferenceFailed,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServingError,
    Unavailable,
    Unsupported,
)
from penstock_serving.oip import (
    Call,
    InferRequest,
    Operation,
    decode_infer_request,
    encode_infer_response,
    encode_metadata,
    parse_path,
)
from penstock_serving.ports import EndpointKey, InferenceRouter, Outputs, Target

logger = logging.getLogger(__name__)

SERVER_NAME = "penstock"
SERVER_VERSION = version("penstock-serving")
RETRY_AFTER_SECONDS = 1
MEMORY_PER_BODY_BYTE = 4
"""About how many bytes of memory one byte of a request's JSON takes as Python objects."""

_STATUS = {
    InvalidRequest: 400,
    NotFound: 404,
    Overloaded: 429,
    InferenceFailed: 500,
    Unsupported: 501,
    Unavailable: 503,
}


class InferenceFront:
    """One HTTP server for all endpoints of a router."""

    def __init__(
        self,
        router: InferenceRouter,
        limits: HttpLimits | None = None,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.perf_counter,
        gate: Gate | None = None,
    ) -> None:
        self._router = router
        self._gate = gate
        self._clock = clock
        self._metrics = FrontMetrics(registry)
        self._server = HttpServer(self._handle, limits or HttpLimits())
        self._origin = ""

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Open the socket; returns the origin, `http://host:port`.

        Call it after the revisions of all endpoints were started, at the latest when each is
        loading: before that, their clients are told 404.
        """
        bound_host, bound_port = await self._server.listen(host, port)
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        self._origin = f"http://{shown}:{bound_port}"
        return self._origin

    async def close(self, drain_seconds: float = 10.0) -> None:
        """Answer what has come in, then close."""
        await self._server.close(drain_seconds)

    def base_url(self, endpoint: EndpointKey) -> str:
        """Where clients of the protocol reach the endpoint."""
        return f"{self._origin}/{endpoint.namespace}/{endpoint.endpoint}"

    @property
    def metrics(self) -> CollectorRegistry:
        """The front's Prometheus series."""
        return self._metrics.registry

    # -- one request -----------------------------------------------------------------------------

    def _handle(self, request: Request, reply: Reply) -> Cancel | None:
        endpoint = EndpointKey(*UNKNOWN)
        try:
            call = parse_path(request.target)
        except ServingError as error:
            self._reply(reply, endpoint, _refusal(error))
            return None
        if self._gate is None:
            return self._admitted(request, reply, call)
        return self._gate.admit(
            request,
            call.namespace,
            lambda: self._admitted(request, reply, call),
            lambda response: self._reply(reply, endpoint, response),
        )

    def _admitted(self, request: Request, reply: Reply, call: Call) -> Cancel | None:
        endpoint = EndpointKey(*UNKNOWN)
        try:
            key = EndpointKey(call.namespace, call.endpoint)
            if request.method != call.operation.method:
                self._reply(reply, endpoint, _wrong_method(request, call))
                return None
            if call.operation is Operation.INFER:
                return self._infer(request, reply, key, call)
            response = self._describe(key, call)
            endpoint = key
        except ServingError as error:
            response = _refusal(error)
        self._reply(reply, endpoint, response)
        return None

    def _reply(self, reply: Reply, endpoint: EndpointKey, response: Response) -> None:
        self._metrics.count(endpoint.namespace, endpoint.endpoint, response.status)
        reply(response)

    def _infer(self, request: Request, reply: Reply, key: EndpointKey, call: Call) -> Cancel | None:
        started = self._clock()
        known = key
        try:
            try:
                target = self._router.resolve(key, call.version)
            except NotFound:
                known = EndpointKey(*UNKNOWN) if not self._router.versions(key) else key
                raise
            _check_encodings(request)
            inference = decode_infer_request(request.body, target.signature)
            answer = target.submit(inference, len(request.body) * MEMORY_PER_BODY_BYTE)
        except ServingError as error:
            self._reply(reply, known, _refusal(error))
            return None
        self._metrics.taken()

        def answered(outputs: "Future[Outputs]") -> None:
            self._metrics.released()
            if outputs.cancelled():  # the client went away
                return
            response = _settle(target, inference, outputs)
            self._metrics.observe(*key, self._clock() - started)
            self._reply(reply, key, response)

        answer.add_done_callback(answered)
        return answer.cancel

    def _describe(self, key: EndpointKey, call: Call) -> Response:
        match call.operation:
            case Operation.MODEL_METADATA:
                target = self._router.resolve(key, call.version)
                versions = self._router.versions(key)
                return Response(200, encode_metadata(call.endpoint, versions, target.signature))
            case Operation.SERVER_READY | Operation.MODEL_READY:
                return self._readiness(key, call)
        # An endpoint that exists is alive even if it has no revision ready.
        with contextlib.suppress(Unavailable):
            self._router.resolve(key)
        if call.operation is Operation.SERVER_LIVE:
            return Response(200, orjson.dumps({"live": True}))
        about = {"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": []}
        return Response(200, orjson.dumps(about))

    def _readiness(self, key: EndpointKey, call: Call) -> Response:
        try:
            ready = self._router.resolve(key, call.version).ready
        except Unavailable:
            ready = False
        body: dict[str, object] = {"ready": ready}
        if call.operation is Operation.MODEL_READY:
            body = {"name": call.endpoint, **body}
        return Response(200 if ready else 503, orjson.dumps(body))


def _settle(target: Target, inference: InferRequest, outputs: "Future[Outputs]") -> Response:
    """The answer that a finished future means; never raises, since a client waits for it."""
    try:
        return _answer(target, inference, outputs.result())
    except ServingError as error:
        return _refusal(error, ("penstock-revision", str(target.spec.revision)))
    except Exception:
        logger.exception("revision %s: its answer cannot be sent", target.spec.revision_id)
        return error_response(500, "internal error; the server's log has the details")


def _answer(target: Target, inference: InferRequest, outputs: Outputs) -> Response:
    spec = target.spec
    body = encode_infer_response(
        model_name=spec.endpoint,
        model_version=spec.model_version,
        signature=target.signature,
        names=inference.outputs,
        values=outputs,
        rows=inference.rows,
        request_id=inference.id,
    )
    return Response(200, body, (("penstock-revision", str(spec.revision)),))


def _refusal(error: ServingError, *headers: tuple[str, str]) -> Response:
    status = _STATUS.get(type(error), 500)
    if isinstance(error, Unavailable | Overloaded):
        headers = (*headers, ("retry-after", str(RETRY_AFTER_SECONDS)))
    return error_response(status, error.reason, *headers)


def _wrong_method(request: Request, call: Call) -> Response:
    method = call.operation.method
    reason = f"{request.method} is not a method of this path; use {method}"
    return error_response(405, reason, ("allow", method))


def _check_encodings(request: Request) -> None:
    coding = request.headers.get(b"content-encoding", b"identity")
    if coding != b"identity":
        raise Unsupported("compressed requests are not supported; send the JSON as it is")
    if b"inference-header-content-length" in request.headers:
        raise Unsupported('binary tensors are not supported; send every tensor as JSON "data"')
