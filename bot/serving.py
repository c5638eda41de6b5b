"""Serving web pages on an address that an operator chose."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http import HttpProcessingError

from bot.domain.problem import Problem
from bot.errors import ConfigError

_OF_A_PORT = (errno.EADDRINUSE, errno.EACCES, errno.EPERM)
"""What a system says of a port that is taken, or for others only."""

LINGER = 1.0
"""Seconds for which the rest of a body is awaited that was answered without it."""


@asynccontextmanager
async def serving(server: web.Application, host: str, port: int, variable: str) -> AsyncIterator[None]:
    """Serve until the block ends. Raises ConfigError, naming the variable, for a port that is taken.

    Where it is the host that will not do, HTTP_HOST is named: all that is served is there.
    """
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_in_one_line)
    # What is compressed stays so: a few bytes that unpack to gigabytes are nobody's to send.
    runner = web.AppRunner(
        server, access_log=None, logger=logger, auto_decompress=False, lingering_time=LINGER
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(_refused(host, port, variable, error)) from None
    try:
        yield
    finally:
        await runner.cleanup()


def _refused(host: str, port: int, variable: str, error: OSError) -> Problem:
    if error.errno in _OF_A_PORT:
        taken = f"{host}:{port} cannot be used: {error.strerror}"
        return Problem(variable, taken, "End what uses it, or choose another.")
    none = f"{host} is no address of this machine: {error.strerror}"
    return Problem("HTTP_HOST", none, "Write 127.0.0.1, or 0.0.0.0 for all.")


def _in_one_line(record: logging.LogRecord) -> bool:
    """Whoever sends what is no HTTP is no error of ours: aiohttp would log it as one, with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | web.RequestPayloadError):
        record.msg, record.args = "a request that is no HTTP was refused: %s", (type(error).__name__,)
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = None
    return True
