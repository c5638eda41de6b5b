"""Structured logs: one line an event, readable on a terminal, JSON elsewhere; no secret in any of them.

zeep logs whole envelopes at DEBUG, slack_sdk whole bodies, and Bolt the body of a badly signed request at
INFO: what they log below that is not written, whatever their loggers are set to. What passes all the same is
redacted by value and by shape, and so is what a command says of an error, and what Python says of one that
ends the process.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterable, MutableMapping
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import unquote, unquote_plus, urlsplit

import structlog
from pydantic import SecretStr

from bot.config import LedgerSettings
from bot.redaction import Redaction

_HELD = {
    "zeep": logging.WARNING,
    "zeep.transports": logging.WARNING,
    "urllib3": logging.WARNING,
    "requests": logging.WARNING,
    "slack_sdk": logging.WARNING,
    "slack_bolt": logging.WARNING,
    # It warns at every start that authorization is ours, which it is meant to be.
    "slack_bolt.AsyncApp": logging.ERROR,
    "aiohttp.access": logging.WARNING,
    "alembic": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "aiosqlite": logging.INFO,
    "asyncio": logging.WARNING,
}
"""The least that is written of what each logs, and those under it."""


_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
)
"""What a terminal obeys, or cannot show: controls, DEL, what turns the writing round, breaks of a line."""


def printable(text: str) -> str:
    """Text from outside, fit for one line of a terminal: each such character stands there as its number."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def for_terminal(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same for all of a log's line; only a traceback keeps its lines."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if name in ("exception", "stack") else [value]
            event[name] = "\n".join(map(printable, lines))
    return event


def as_json(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """The same for a log that is parsed, and read on a terminal in the end: the numbers are JSON's own."""
    return printable(str(_JSON(logger, method, event)))


_JSON = structlog.processors.JSONRenderer(ensure_ascii=False)


class LogRedaction(Redaction):
    """Takes secrets out of everything that is logged."""

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Clean one structlog event."""
        return {key: self._value(value) for key, value in event.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.clean(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._value(key): self._value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item) for item in value]
        return self.clean(str(value))


def secrets_of(settings: LedgerSettings) -> list[str]:
    """Every secret that the settings hold."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    return [*secrets, *passwords_in(settings.ledger_url.get_secret_value())]


def passwords_in(ledger_url: str) -> list[str]:
    """The passwords that an address of a ledger holds: as they are written there, and as they are meant."""
    try:
        address = urlsplit(ledger_url)
    except ValueError:
        return [ledger_url]  # nobody can say what of it is one
    asked = (part.partition("=") for part in address.query.split("&"))
    # libpq takes `password` and `sslpassword` there.
    passwords = [value for name, _, value in asked if "password" in unquote(name).lower()]
    if address.password:
        passwords.append(address.password)
    return sorted({form for one in passwords if one for form in (one, unquote(one), unquote_plus(one))})


class _Told:
    """What is said on the way out, by whom nobody configured."""

    redaction = LogRedaction(())


def keep_secret(secrets: Iterable[str]) -> None:
    """From now on `harmless`, and what Python tells of an error that nobody caught, know these secrets."""
    _Told.redaction = LogRedaction(secrets)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed
    sys.unraisablehook = lambda found: _crashed(found.exc_type, found.exc_value, found.exc_traceback)


def harmless(text: object) -> str:
    """What a command says of what it was told from outside: no secret, and fit for a terminal."""
    return "\n".join(map(printable, _Told.redaction.clean(str(text)).split("\n")))


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """As Python tells it, without the secrets that the texts may hold."""
    if sys.stderr is not None:
        told = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(f"{harmless(told.removesuffix(chr(10)))}\n")


def _thread_crashed(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_type is not SystemExit:
        _crashed(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _is_held(record: logging.LogRecord) -> bool:
    """Whether it is less than is written of its logger's."""
    name = record.name
    while name not in _HELD and "." in name:
        name = name.rpartition(".")[0]
    return record.levelno < _HELD.get(name, logging.NOTSET)


def to_stderr() -> None:
    """For a command whose output others read: what is logged meanwhile goes where errors go."""
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _Told.redaction,
            for_terminal,
            console,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def configure(settings: LedgerSettings, *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Set up logging for the whole process, once, before anything else is built."""
    out = stream or sys.stderr
    redaction = LogRedaction(secrets_of(settings))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redaction,
    ]
    console = structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
    rendering: list[structlog.typing.Processor] = [for_terminal, console] if out.isatty() else [as_json]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    keep_secret(secrets_of(settings))
    handler = logging.StreamHandler(out)
    # Here, and not at their loggers: anybody may set those to another level, or make one below them.
    handler.addFilter(lambda record: not _is_held(record))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
