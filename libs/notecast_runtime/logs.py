"""Sets up logging: one line per event, with fields; readable on a terminal, JSON elsewhere.

No event is written more often than a few times a second at first, then a few times a minute,
whoever causes it: see `log_limiter`. Lines of Python's own `logging`, from libraries, are events
too.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from notecast_runtime.log_limiter import LogLimiter


def configure_logs(service: str, level: str) -> None:
    """Sets up the process's logging; call it once, before anything is logged.

    Args:
        service: the name that every line carries.
        level: `debug`, `info`, `warning` or `error`.
    """
    on_terminal = sys.stderr.isatty()
    # A plain stack even if rich is installed: rich shows local variables, and URLs among them.
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if on_terminal
        else structlog.processors.JSONRenderer()
    )
    rendering: list[Processor] = [
        *([] if on_terminal else [structlog.processors.format_exc_info]),
        renderer,
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            FloodGate(LogLimiter(), rendering),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


class FloodGate:
    """A structlog processor that suppresses events that come too often.

    The newest suppressed line is written when the period is over, with the number of those before
    it, so that the log ends with the current state. It has no stack of an exception: the lines of
    the burst have shown it.

    Args:
        limiter: decides which lines pass.
        rendering: the processors after this one; they render lines that are written late.
    """

    def __init__(self, limiter: LogLimiter, rendering: Sequence[Processor]) -> None:
        self._limiter = limiter
        self._rendering = rendering
        self._newest: dict[str, EventDict] = {}

    def __call__(self, logger: Any, name: str, event_dict: EventDict) -> EventDict:  # noqa: ANN401 - structlog's
        """Processes an event, as structlog calls it.

        Raises:
            structlog.DropEvent: the line is suppressed.
        """
        event = str(event_dict["event"])
        passes, suppressed = self._limiter.admit(event)
        if not passes:
            self._keep(logger, name, event, event_dict)
            raise structlog.DropEvent
        self._newest.pop(event, None)
        if suppressed:
            event_dict["suppressed"] = suppressed
        return event_dict

    def _keep(self, logger: Any, name: str, event: str, event_dict: EventDict) -> None:  # noqa: ANN401
        due = event in self._newest
        kept = dict(event_dict)
        error = kept.pop("exc_info", None)
        if error:
            kept["error"] = repr(error if isinstance(error, Exception) else sys.exc_info()[1])
        self._newest[event] = kept
        if not due:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # it is written with the next line of this event
                return
            loop.call_later(self._limiter.period_seconds, self._write, logger, name, event)

    def _write(self, logger: Any, name: str, event: str) -> None:  # noqa: ANN401
        kept = self._newest.pop(event, None)
        suppressed = self._limiter.tell_suppressed(event)
        if kept is None:
            return
        line: Any = {**kept, "suppressed": suppressed - 1}
        for processor in self._rendering:
            line = processor(logger, name, line)
        logger.msg(line)


class _LibraryHandler(logging.Handler):
    """Turns lines that libraries log into events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Logs a record of a library as an event."""
        log = structlog.get_logger(record.name)
        error = record.exc_info[1] if record.exc_info else None
        log.log(
            record.levelno,
            "library_message",
            library=record.name,
            message=record.getMessage(),
            exc_info=error,
        )
