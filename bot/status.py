"""For operators: /healthz (the process turns), /readyz (the ledger answers), /metrics (Prometheus).

Figures are read from the ledger when they are asked for, so that every instance tells the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from bot.domain.payment import State
from bot.errors import LedgerUnavailable
from bot.ledger.store import Ledger
from bot.serving import serving


@asynccontextmanager
async def status_server(ledger: Ledger, host: str, port: int) -> AsyncIterator[None]:
    """Serve the three pages. Raises ConfigError where the port cannot be had."""

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        try:
            await ledger.undelivered()
        except LedgerUnavailable:
            return web.Response(status=503, text="the ledger does not answer\n")
        return web.Response(text="ready\n")

    async def metrics(_request: web.Request) -> web.Response:
        try:
            page = await _metrics(ledger)
        except LedgerUnavailable:
            return web.Response(status=503, text="the ledger does not answer\n")
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    server = web.Application()
    server.router.add_get("/healthz", health)
    server.router.add_get("/readyz", ready)
    server.router.add_get("/metrics", metrics)
    async with serving(server, host, port, "STATUS_PORT"):
        yield


async def _metrics(ledger: Ledger) -> bytes:
    registry = CollectorRegistry()
    payments = Gauge("payments", "Payment requests in the ledger, by state.", ["state"], registry=registry)
    counted = await ledger.by_state()
    for state in State:
        payments.labels(state=state.value).set(counted.get(state, 0))
    Gauge(
        "undelivered_messages", "Cards and replies that Slack still has to be told.", registry=registry
    ).set(await ledger.undelivered())
    Gauge(
        "given_up_messages",
        "Cards and replies that Slack would not take, in all; each is an event not_told in the trail.",
        registry=registry,
    ).set(await ledger.not_told())
    paused = await ledger.paused()
    Gauge("paused", "1 while all sending is paused.", registry=registry).set(paused is not None)
    return generate_latest(registry)
