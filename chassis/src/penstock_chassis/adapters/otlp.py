"""Sends the spans of this process to an OTLP/HTTP collector.

Everything of the OpenTelemetry SDK is imported here and only where a collector is named: 55 ms of
CPU and 4 MB that nobody else pays. Spans leave by a thread of their own, in batches; where the
collector does not answer they are dropped, and nothing of the platform waits for it. The SDK's own
variables (`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`, …) are obeyed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from penstock_chassis.errors import ChassisError
from penstock_chassis.tracing import disable_tracing, enable_tracing

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

TRACES_PATH = "/v1/traces"
QUEUED_SPANS_MAX = 4096
"""Finished spans that wait; further ones are dropped."""
BATCH_SPANS_MAX = 512
BATCH_PAUSE_SECONDS = 1.0
EXPORT_SECONDS_MAX = 5.0
"""How long one batch is tried for."""
FLUSH_SECONDS_MAX = 5.0
"""How long the end of the process waits for the last batches."""

log = structlog.get_logger("penstock.tracing")


@contextmanager
def exported_traces(endpoint: str, name: str) -> Iterator[None]:
    """Send the spans of the block to the collector at `endpoint`; do nothing where it is empty.

    `name` is the `service.name` of this process; which service of ours handled an event is the
    span's attribute `penstock.service`. Raises `ChassisError` for an endpoint that is no URL, and
    where the extra is not installed.
    """
    if not endpoint:
        yield
        return
    exporter, provider = _provider(traces_url(endpoint), name)
    enable_tracing(provider)
    try:
        yield
    finally:
        disable_tracing()
        _finish(exporter, provider)


def traces_url(endpoint: str) -> str:
    """Where spans are posted: the collector's base address with OTLP's path, unless it is there.

    Raises `ChassisError`.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ChassisError(
            f"PENSTOCK_OTEL_ENDPOINT is {endpoint!r}: give the URL of an OTLP/HTTP collector, "
            "e.g. http://127.0.0.1:4318"
        )
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES_PATH) else base + TRACES_PATH


def _provider(url: str, name: str) -> tuple[OTLPSpanExporter, TracerProvider]:
    try:
        # The SDK is an extra, and heavy: see above.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ChassisError(
            f"traces cannot be sent ({error}): pip install 'penstock-chassis[otel]', or leave "
            "PENSTOCK_OTEL_ENDPOINT empty"
        ) from error
    resource = Resource.create(
        {
            "service.name": name,
            "service.namespace": "penstock",
            "service.version": version("penstock-chassis"),
        }
    )
    exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS_MAX)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUED_SPANS_MAX,
            max_export_batch_size=BATCH_SPANS_MAX,
            schedule_delay_millis=BATCH_PAUSE_SECONDS * 1000,
        )
    )
    return exporter, provider


def _finish(exporter: OTLPSpanExporter, provider: TracerProvider) -> None:
    """Send what waits, within a bound; the SDK's own end may take half a minute."""
    ending = threading.Thread(target=provider.shutdown, daemon=True, name="traces-end")
    ending.start()
    ending.join(FLUSH_SECONDS_MAX)
    if ending.is_alive():
        log.warning("traces lost", reason=f"not sent within {FLUSH_SECONDS_MAX:.0f} s")
        exporter.shutdown()  # type: ignore[no-untyped-call]
