"""The composition root: builds everything from Settings, starts it and stops it.

The only file that knows all the others. Nothing happens at import.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.about import About, about_all, about_payment, what_runs
from bot.billing.client import BillingClient
from bot.clocks import Ages
from bot.config import Settings, policy_of
from bot.domain.login import account_mark
from bot.domain.policy import Policy
from bot.domain.schedule import IN_UTC, Mornings
from bot.errors import LedgerUnavailable
from bot.ledger.another_team import must_be_of
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR, LOOK_UP, OUTBOX, RECONCILER, Queue
from bot.ledger.store import Ledger
from bot.metrics import PROCESS
from bot.payments.alarms import Alarms
from bot.payments.authority import Authority
from bot.payments.billing_api import BillingApi
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.payments.executor import Checkpoint, Executor, no_checkpoint
from bot.payments.look_up import LookUp
from bot.payments.maintenance import Maintenance
from bot.payments.overview import Overview
from bot.payments.preflight import Preflight
from bot.payments.proposals import Proposals
from bot.payments.reconciler import Reconciler
from bot.payments.settling import Settling
from bot.payments.timing import CALLS, Timing
from bot.payments.unpaid import UnpaidInvoices
from bot.payments.worker import Handle, Poller, TaskPool, Worker
from bot.slack.announcer import Announcer
from bot.slack.ask_again import AskAgain
from bot.slack.colleagues import Colleagues
from bot.slack.commands import Commands
from bot.slack.connection import bolt_app, http_mode, socket_mode, workspace_of
from bot.slack.decisions import Decisions
from bot.slack.directory import SlackDirectory
from bot.slack.home import Homes
from bot.slack.inbound import Gate, Services
from bot.slack.lists import Lists
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.pay_form import PayForms
from bot.slack.preview import Previews
from bot.slack.removal import Removals
from bot.slack.rendering import Renderer
from bot.slack.resolutions import Resolutions
from bot.slack.selection import Selections
from bot.slack.telling_once import tellers
from bot.slack.unknown import Unknown
from bot.slack.unpaid_view import UnpaidViews
from bot.slack.web_api import Client, Workspace, web_client
from bot.slack.workflow_step import WorkflowStep
from bot.status import status_server

log = structlog.get_logger()

LAST_WORDS = 5.0
"""Seconds that a stopping bot goes on telling Slack what became of things."""

LOOK_UPS = 64
"""New requests that are looked up at once; those of one module share the reading of its list."""

GRACE = 20.0
"""Seconds that work which sends no payment may take to finish when the bot is told to stop."""


@dataclass(frozen=True, slots=True)
class Edges:
    """What the bot touches the world with, each open."""

    ledger: Ledger
    client: Client
    workspace: Workspace
    billing: BillingApi


@dataclass(frozen=True, slots=True)
class Part:
    """Pollers that start and stop together. grace: seconds that the work they began may then take."""

    pollers: Sequence[Poller]
    pools: Sequence[TaskPool[Any]]
    grace: float


@dataclass(frozen=True, slots=True, eq=False)
class Bot:
    """All of the bot, put together by `build`; nothing of it runs before `working`.

    listener: takes what people do in Slack, over whatever connection. broken: set when a part of it ended
    that must not; the process should end too.
    """

    ledger: Ledger
    services: Services
    listener: AsyncApp
    maintenance: Maintenance
    executor: Executor
    telling: Part
    reading: Part
    paying: Part
    answering: Part
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait until told to stop, or until the bot is broken."""
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self.broken.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def at_rest(self) -> bool:
        """Whether nothing is left to do but wait for people or for time."""
        answering = self.services.gate.busy or any(pool.keys for pool in self.answering.pools)
        return not answering and await self.ledger.at_rest()

    async def rest(self, timeout: float) -> bool:
        """Wait until nothing is left to do; False if that takes more than `timeout` seconds."""
        changed = self.ledger.watch()
        try:
            async with asyncio.timeout(timeout):
                while not await self.at_rest():
                    # Answers that are under way change nothing in the ledger, so look again for them.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), 0.1)
                    changed.clear()
        except TimeoutError:
            return False
        finally:
            self.ledger.unwatch(changed)
        return True

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work until the block ends; then let what is under way finish. Raises LedgerUnavailable."""
        await self.maintenance.take_over()
        async with contextlib.AsyncExitStack() as stack:
            # The announcer is the last to stop: what was paid while stopping is still told.
            await stack.enter_async_context(self._polling(self.telling, last=self._told))
            await stack.enter_async_context(self._polling(self.reading))
            await stack.enter_async_context(self._polling(self.paying))
            stack.callback(self.executor.stop)
            asking = asyncio.create_task(self.services.catalogue.run(), name="catalogue")
            stack.callback(asking.cancel)
            stack.push_async_callback(self.services.unpaid.close)
            await stack.enter_async_context(self._polling(self.answering))
            stack.push_async_callback(self.services.gate.emptied, 3.0)
            yield

    @contextlib.asynccontextmanager
    async def _polling(
        self, part: Part, last: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[None]:
        """Run the pollers until the block ends; then let the work under way finish.

        What does not finish in time is left to its lease. last: what is done before they stop.
        """

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a loop ended that must not", loop=task.get_name(), exc_info=error)
                self.broken.set()

        tasks = [asyncio.create_task(poller.run(), name="poller") for poller in part.pollers]
        for task in tasks:
            task.add_done_callback(ended)
        try:
            yield
        finally:
            if last is not None and not self.broken.is_set():
                await last()
            for poller in part.pollers:
                poller.stop()
            await asyncio.wait(tasks)
            await asyncio.gather(*(pool.drain(part.grace) for pool in part.pools))

    async def _told(self) -> None:
        """Wait a little until Slack was told everything."""
        changed = self.ledger.watch()
        with contextlib.suppress(TimeoutError, LedgerUnavailable):
            async with asyncio.timeout(LAST_WORDS):
                while await self.ledger.any_due(OUTBOX):
                    await changed.wait()
                    changed.clear()
        self.ledger.unwatch(changed)


def build(
    settings: Settings,
    policy: Policy,
    edges: Edges,
    *,
    instance: str,
    timing: Timing | None = None,
    pace: Pace | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> Bot:
    """Put the bot together. instance: what others on the same ledger know it by.

    timing, pace, checkpoint: for tests.
    """
    timing, pace = timing or Timing(), pace or Pace()
    ledger, billing = edges.ledger, edges.billing
    directory = SlackDirectory(edges.client, edges.workspace.team)
    authority = Authority(policy, directory, edges.workspace.team)
    read_at: Ages[int] = Ages(ledger.boottime)
    settling = Settling(timing.settled_after(settings.billing_timeout))

    plan = settings.pay_digest
    mornings = Mornings(plan.zone) if plan is not None else IN_UTC
    look_up = LookUp(ledger, billing, authority, timing, read_at, instance, mornings)
    preflight = Preflight(ledger, billing, authority, timing, read_at, settings.billing_timeout)
    account = account_mark(ledger.identity, settings.billing_wsdl_url, settings.billing_username)
    executor = Executor(ledger, billing, preflight, timing, instance, checkpoint, account)
    reconciler = Reconciler(ledger, billing, timing, settling, instance, account)

    def worker(
        queue: Queue, handle: Handle, size: int, lease: timedelta = timing.lease, about: About = about_payment
    ) -> Worker:
        return Worker(ledger, queue, handle, instance=instance, lease=lease, size=size, about=about)

    looking_up = worker(LOOK_UP, look_up.handle, LOOK_UPS, about=about_all)
    reconciling = worker(RECONCILER, reconciler.handle, 4, reconciler.lease)
    paying = worker(EXECUTOR, executor.handle, settings.billing_concurrency)
    maintenance = Maintenance(ledger, policy, timing, instance, sending=lambda: paying.pool.keys)
    daily = plan is not None and plan.approvers
    lasts = settling.lasts
    renderer = Renderer(ledger, authority, directory, edges.workspace, timing, lasts, daily, mornings)
    announcer = Announcer(
        ledger, edges.client, renderer, timing, pace, instance, ledger.watch(OUTBOX), checkpoint
    )
    desk, unpaid = Desk(ledger, authority, settling, mornings), UnpaidInvoices(billing, ledger)
    services = Services(
        desk=desk,
        ledger=ledger,
        authority=authority,
        overview=Overview(ledger, authority),
        catalogue=Catalogue(billing, policy),
        unpaid=unpaid,
        proposals=Proposals(desk, authority, ledger, unpaid),
        directory=directory,
        client=edges.client,
        workspace=edges.workspace,
        gate=Gate(),
    )
    homes, lists, pay_forms, previews = (
        Homes(services),
        Lists(services),
        PayForms(services),
        Previews(services),
    )
    unpaid_views = UnpaidViews(services)
    listener = bolt_app(edges.client, edges.workspace)
    for subject in (
        Colleagues(directory, edges.workspace),
        Commands(services, lists, pay_forms, previews),
        previews,
        Decisions(services),
        Selections(services),
        Removals(services),
        Resolutions(services),
        AskAgain(services),
        pay_forms,
        unpaid_views,
        homes,
        WorkflowStep(services),
        Unknown(),
    ):
        subject.register(listener)

    def once(variable: str) -> Once:
        return Once(variable, ledger, edges.client, edges.workspace, timing, pace, instance, checkpoint)

    told_once = tellers(settings, policy, services, Alarms(ledger, billing, timing), mornings, once)
    if not any(rule.requesters for rule in policy.rules):
        log.warning("nobody is allowed to request payments: PAY_ALLOWED_USERS is empty")
    return Bot(
        ledger,
        services,
        listener,
        maintenance,
        executor,
        telling=Part(
            [
                Poller("announcer", announcer.poll_once, announcer.pool.wake),
                Poller("clock", ledger.wake_due, asyncio.Event(), timing.poll),
                *(one.poller for one in told_once),
            ],
            [announcer.pool, *(pool for one in told_once for pool in one.pools)],
            GRACE,
        ),
        reading=Part(
            [
                looking_up.poller,
                reconciling.poller,
                Poller(
                    "lost answers",
                    reconciler.observe,
                    asyncio.Event(),
                    timing.reconcile_first.total_seconds(),
                ),
                Poller("maintenance", maintenance.poll_once, ledger.watch(*maintenance.chores)),
                Poller("forgetting", maintenance.forget, asyncio.Event(), timing.forget),
            ],
            [looking_up.pool, reconciling.pool],
            GRACE,
        ),
        # A payment is waited for as long as it may take; less would make a lost answer of it.
        paying=Part([paying.poller], [paying.pool], CALLS * settings.billing_timeout + GRACE),
        answering=Part(
            [Poller("home", homes.poll_once, homes.pool.wake, timing.poll)],
            [homes.pool, lists.pool, pay_forms.pool, previews.pool, unpaid_views.pool],
            LAST_WORDS,
        ),
    )


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    timing: Timing | None = None,
    pace: Pace | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> AsyncIterator[Bot]:
    """Run the bot until the block ends; then stop taking commands and let calls under way finish.

    timing, pace, checkpoint: as for `build`. Raises ConfigError, LedgerError.
    """
    policy = policy_of(settings)  # what is wrong with it is told before anything is opened
    instance = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(3)}"
    url = settings.ledger_url.get_secret_value()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(one_process(url))
        ledger = await stack.enter_async_context(open_ledger(url, instance=instance))
        client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
        workspace = await workspace_of(client)
        await must_be_of(workspace.team, ledger)
        billing = BillingClient(
            wsdl_url=settings.billing_wsdl_url,
            username=settings.billing_username,
            password=settings.billing_password,
            timeout=settings.billing_timeout,
            concurrency=settings.billing_concurrency,
        )
        stack.push_async_callback(billing.close, 0.0)
        edges = Edges(ledger, client, workspace, billing)
        bot = build(
            settings, policy, edges, instance=instance, timing=timing, pace=pace, checkpoint=checkpoint
        )
        await stack.enter_async_context(bot.working())
        if settings.status_port is not None:
            await stack.enter_async_context(
                status_server(
                    ledger, settings.http_host, settings.status_port, lambda: _is_connected(settings)
                )
            )
        await stack.enter_async_context(_connected(settings, bot.listener, edges))
        what = what_runs(policy)
        log.info("running", mode=settings.mode, team=workspace.team, instance=instance, **what)
        yield bot
        log.info("stopping")


def _connected(settings: Settings, listener: AsyncApp, edges: Edges) -> AbstractAsyncContextManager[None]:
    """The connection over which Slack tells what people do."""
    if settings.slack_app_token is not None:
        token = settings.slack_app_token.get_secret_value()
        return socket_mode(listener, edges.client, token, edges.ledger.instances)
    assert settings.slack_signing_secret is not None, "bug: settings hold either"
    return http_mode(listener, settings.slack_signing_secret, settings.http_host, settings.http_port)


def _is_connected(settings: Settings) -> bool:
    """Whether a Socket Mode connection is open; over HTTP nothing is known of that."""
    return settings.slack_app_token is None or bool(PROCESS.get_sample_value("slack_connections"))
