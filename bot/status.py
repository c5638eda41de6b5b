"""For operators: /healthz (the process turns), /readyz (ledger and Slack are there), /metrics (Prometheus).

While the billing API is away the bot is ready all the same, as it keeps what people ask for; /readyz says so.

What the ledger knows is read when it is asked for, so that every instance tells the same; what this process
has seen is in `metrics`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

from bot.domain.payment import State
from bot.errors import LedgerError, LedgerUnavailable
from bot.ledger.ages import ages, scheduled
from bot.ledger.store import Ledger
from bot.metrics import BILLING_ANSWERED, PROCESS
from bot.serving import serving

SCHEDULED = "SCHEDULED"
"""What is told as if it were a state: approved, and waiting for its day."""


@asynccontextmanager
async def status_server(
    ledger: Ledger, host: str, port: int, connected: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """Serve the three pages. Raises ConfigError where the port cannot be had.

    connected: whether Slack can reach the bot, as far as the bot knows.
    """

    disable_created_metrics()  # type: ignore[no-untyped-call]  # times that nobody asks for

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        try:
            await ledger.undelivered()
        except LedgerUnavailable:
            return web.Response(status=503, text="the ledger does not answer\n")
        if not connected():
            return web.Response(status=503, text="Slack is not connected\n")
        return web.Response(text=f"ready\n{_billing()}\n")

    async def metrics(_request: web.Request) -> web.Response:
        try:
            page = await _metrics(ledger)
        except LedgerUnavailable:
            return web.Response(status=503, text="the ledger does not answer\n")
        except LedgerError as error:
            return web.Response(status=503, text=f"the ledger cannot be read: {error}\n")
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE_LATEST})

    server = web.Application()
    server.router.add_get("/healthz", health)
    server.router.add_get("/readyz", ready)
    server.router.add_get("/metrics", metrics)
    async with serving(server, host, port, "STATUS_PORT"):
        yield


def _billing() -> str:
    """Since when the billing API is silent: no reason to send commands elsewhere, as they are kept."""
    ((sample,),) = (metric.samples for metric in BILLING_ANSWERED.collect())
    if not sample.value:
        return "The billing API has not answered yet."
    return f"The billing API last answered {max(int(time.time() - sample.value), 0)} s ago."


async def _metrics(ledger: Ledger) -> bytes:
    registry = CollectorRegistry()
    payments = Gauge(
        "payments",
        "Payments in the ledger, by state. SCHEDULED: approved, and not to be sent before a day to come.",
        ["state"],
        registry=registry,
    )
    counted, to_come = await ledger.by_state(), await scheduled(ledger)
    for state in State:
        payments.labels(state=state.value).set(counted.get(state, 0))
    # What waits for its day does not stand still; it may have been sent between the two readings.
    payments.labels(state=State.APPROVED.value).set(max(counted.get(State.APPROVED, 0) - to_come, 0))
    payments.labels(state=SCHEDULED).set(to_come)
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
    now, since = ledger.clock(), await ages(ledger)
    for name, about, begun in (
        (
            "unknown_oldest_seconds",
            "Age of the oldest payment that is unknown.",
            since.unknown,
        ),
        ("pending_oldest_seconds", "Age of the oldest request that waits for approval.", since.pending),
        (
            "delivery_lag_seconds",
            "How long the oldest message waits that Slack has to be told.",
            since.delivery,
        ),
    ):
        age = max((now - begun).total_seconds(), 0.0) if begun is not None else 0.0
        Gauge(name, f"{about} 0: there is none.", registry=registry).set(age)
    return generate_latest(registry) + generate_latest(PROCESS)
