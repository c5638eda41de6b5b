"""Several instances on one ledger, as PostgreSQL allows: its rules, executed by SQLite.

What is SQLite's here is the isolation, which is the strictest: of two transactions one waits. That a lock is
skipped, or a row read before another's commit, only a real PostgreSQL shows; see `tests.faults`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.app import Bot, Edges, build
from bot.billing.client import BillingClient
from bot.clocks import boottime
from bot.config import Settings, policy_of
from bot.ledger import database, version
from bot.ledger.store import Ledger
from bot.payments.timing import Timing
from bot.slack.connection import socket_mode, workspace_of
from bot.slack.web_api import web_client


class SharedLedger(Ledger):
    """One that knows of the others. clock: the database server's. count: how many instances there are."""

    def __init__(
        self, engine: AsyncEngine, identity: str, clock: Callable[[], datetime], count: Callable[[], int]
    ) -> None:
        super().__init__(engine, identity, clock, boottime)
        self._count = count

    @property
    def shared(self) -> bool:
        """Whether a lease that is not ours may be of somebody who lives."""
        return True

    async def now(self, connection: AsyncConnection) -> datetime:
        """The server's, and SQLite has no function that tells it. No later version takes the ledger over."""
        return self.clock()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """At one moment; nothing bounds a transaction that it would have to be freed from."""
        async with self.outage.noted(), database.snapshot(self._engine).connect() as connection:
            yield connection

    async def instances(self) -> int:
        """How many run."""
        return self._count()


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    instance: str,
    timing: Timing,
    clock: Callable[[], datetime],
    count: Callable[[], int],
) -> AsyncIterator[Bot]:
    """What `bot.app.running` does, as one of several instances."""
    policy = policy_of(settings)
    assert settings.slack_app_token is not None
    async with AsyncExitStack() as stack:
        engine = database.engine_for(settings.ledger_url.get_secret_value(), instance)
        stack.push_async_callback(engine.dispose)
        async with database.honest_errors(), engine.connect() as connection:
            identity = await version.identity_of(connection)
        client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
        billing = BillingClient(
            wsdl_url=settings.billing_wsdl_url,
            username=settings.billing_username,
            password=settings.billing_password,
            timeout=settings.billing_timeout,
            concurrency=settings.billing_concurrency,
        )
        stack.push_async_callback(billing.close, 0.0)
        ledger = SharedLedger(engine, identity, clock, count)
        edges = Edges(ledger, client, await workspace_of(client), billing)
        bot = build(settings, policy, edges, instance=instance, timing=timing)
        await stack.enter_async_context(bot.working())
        token = settings.slack_app_token.get_secret_value()
        await stack.enter_async_context(socket_mode(bot.listener, client, token, ledger.instances))
        yield bot
