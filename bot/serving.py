"""Serving web pages on an address that an operator chose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bot.errors import ConfigError


@asynccontextmanager
async def serving(server: web.Application, host: str, port: int, variable: str) -> AsyncIterator[None]:
    """Serve until the block ends. Raises ConfigError, naming the variable, for a port that is taken."""
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError([(variable, f"{host}:{port} cannot be used: {error.strerror}")]) from None
    try:
        yield
    finally:
        await runner.cleanup()
