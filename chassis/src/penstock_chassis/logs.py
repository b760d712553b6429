"""Logs: to standard error, a console on a terminal and JSON lines otherwise.

One canonical line for each handled event comes from `penstock_chassis.dispatch`.
"""

import logging
import sys
from typing import Any

import structlog


def configure_logs(level: str = "info", json: bool | None = None) -> None:
    """Set structlog up for this process; `json` None means: unless standard error is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr)
