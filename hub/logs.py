"""Log lines: readable on a terminal, one JSON object a line everywhere else; secrets never get this far."""

import logging
import sys

import structlog


def set_up(*, level: int = logging.INFO) -> None:
    to_person = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if to_person else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
