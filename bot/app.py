"""The composition root: builds everything from Settings, starts it and stops it.

The only file that knows all the others. Nothing happens at import.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog

from bot.billing.client import BillingClient
from bot.clocks import Ages, boottime
from bot.config import Settings, policy_of
from bot.errors import LedgerUnavailable
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR, LOOK_UP, OUTBOX, RECONCILER
from bot.ledger.store import Ledger
from bot.payments.authority import Authority
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.payments.executor import Checkpoint, Executor, no_checkpoint
from bot.payments.look_up import LookUp
from bot.payments.maintenance import Maintenance
from bot.payments.overview import Overview
from bot.payments.preflight import Preflight
from bot.payments.reconciler import Reconciler
from bot.payments.settling import Settling
from bot.payments.timing import Timing
from bot.payments.unpaid import UnpaidInvoices
from bot.payments.worker import Poller, TaskPool, Worker
from bot.slack.announcer import Announcer
from bot.slack.commands import Commands
from bot.slack.connection import bolt_app, http_mode, socket_mode, workspace_of
from bot.slack.decisions import Decisions
from bot.slack.directory import SlackDirectory
from bot.slack.home import Homes
from bot.slack.inbound import Gate, Services
from bot.slack.lists import Lists
from bot.slack.pace import Pace
from bot.slack.pay_form import PayForms
from bot.slack.web_api import web_client
from bot.slack.workflow_step import WorkflowStep
from bot.status import status_server

log = structlog.get_logger()

LAST_WORDS = 5.0
"""Seconds that a stopping bot goes on telling Slack what became of things."""

GRACE = 20.0
"""Seconds that work which sends no payment may take to finish when the bot is told to stop."""


CALLS = 2
"""How many times BILLING_TIMEOUT a payment may take: to get ready, and to be made."""


class Bot:
    """A running bot. broken: set when a part of it ended that must not; the process should end too."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.broken = asyncio.Event()
        self.gate = Gate()
        self.answering: Sequence[TaskPool[Any]] = ()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait until told to stop, or until the bot is broken."""
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self.broken.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def at_rest(self) -> bool:
        """Whether nothing is left to do but wait for people or for time."""
        answering = self.gate.busy or any(pool.keys for pool in self.answering)
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
async def running(
    settings: Settings,
    *,
    timing: Timing | None = None,
    pace: Pace | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> AsyncIterator[Bot]:
    """Run the bot until the block ends; then stop taking commands and let calls under way finish.

    timing, pace, checkpoint: for tests. Raises ConfigError, LedgerError.
    """
    timing, pace = timing or Timing(), pace or Pace()
    policy = policy_of(settings)
    instance = f"{socket.gethostname()[:30]}:{os.getpid()}:{secrets.token_hex(3)}"
    url = settings.ledger_url.get_secret_value()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(one_process(url))
        ledger = await stack.enter_async_context(open_ledger(url, instance=instance))
        client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
        workspace = await workspace_of(client)
        billing = BillingClient(
            wsdl_url=settings.billing_wsdl_url,
            username=settings.billing_username,
            password=settings.billing_password,
            timeout=settings.billing_timeout,
            concurrency=settings.billing_concurrency,
        )
        stack.push_async_callback(billing.close, 0.0)

        directory = SlackDirectory(client, workspace.team)
        authority = Authority(policy, directory, workspace.team)
        catalogue = Catalogue(billing)
        read_at: Ages[int] = Ages(boottime)
        settling = Settling(timing.settled_after(settings.billing_timeout))
        look_up = LookUp(ledger, billing, authority, timing, read_at, instance)
        preflight = Preflight(ledger, billing, authority, timing, read_at, settings.billing_timeout)
        executor = Executor(ledger, billing, preflight, timing, instance, checkpoint)
        reconciler = Reconciler(ledger, billing, timing, settling, instance)
        lease = timing.lease
        looking_up = Worker(ledger, LOOK_UP, look_up.handle, instance=instance, lease=lease, size=16)
        reconciling = Worker(
            ledger, RECONCILER, reconciler.handle, instance=instance, lease=reconciler.lease, size=4
        )
        size = settings.billing_concurrency
        paying = Worker(ledger, EXECUTOR, executor.handle, instance=instance, lease=lease, size=size)
        maintenance = Maintenance(ledger, policy, timing, instance, sending=lambda: paying.pool.keys)
        await maintenance.take_over()
        announcer = Announcer(
            ledger,
            client,
            authority,
            directory,
            workspace,
            timing,
            pace,
            instance=instance,
            wake=ledger.watch(OUTBOX),
            checkpoint=checkpoint,
        )

        pollers = [
            looking_up.poller,
            reconciling.poller,
            Poller("lost answers", reconciler.see, asyncio.Event(), timing.reconcile_first.total_seconds()),
            Poller("maintenance", maintenance.poll_once, ledger.watch(*maintenance.chores)),
            Poller("forgetting", maintenance.forget, asyncio.Event(), timing.forget),
        ]
        telling = [
            Poller("announcer", announcer.poll_once, announcer.pool.wake),
            Poller("clock", ledger.wake_due, asyncio.Event(), timing.poll),
        ]
        bot = Bot(ledger)
        # The announcer is the last to stop: what was paid while stopping is still told.
        await stack.enter_async_context(_polling(bot, telling, [announcer.pool], ledger, grace=GRACE))
        await stack.enter_async_context(
            _polling(bot, pollers, [looking_up.pool, reconciling.pool], None, grace=GRACE)
        )
        # A payment is waited for as long as it may take; less would make a lost answer of it.
        longest = CALLS * settings.billing_timeout + GRACE
        await stack.enter_async_context(_polling(bot, [paying.poller], [paying.pool], None, grace=longest))
        stack.callback(executor.stop)
        asking = asyncio.create_task(catalogue.run(), name="catalogue")
        stack.callback(asking.cancel)
        if settings.status_port is not None:
            await stack.enter_async_context(status_server(ledger, settings.http_host, settings.status_port))

        services = Services(
            desk=Desk(ledger, authority, settling),
            ledger=ledger,
            authority=authority,
            overview=Overview(ledger, authority),
            catalogue=catalogue,
            unpaid=UnpaidInvoices(billing, ledger),
            directory=directory,
            client=client,
            workspace=workspace,
            gate=bot.gate,
        )
        await stack.enter_async_context(_listening(bot, settings, services, poll=timing.poll))
        log.info("running", mode=settings.mode, team=workspace.team, instance=instance)
        if not any(rule.requesters for rule in policy.rules):
            log.warning("nobody is allowed to request payments: PAY_ALLOWED_USERS is empty")
        yield bot
        log.info("stopping")


@contextlib.asynccontextmanager
async def _listening(bot: Bot, settings: Settings, services: Services, *, poll: float) -> AsyncIterator[None]:
    """Take what people do in Slack until the block ends, and answer what is under way.

    poll: seconds between two looks at who has their Home tab open.
    """
    app = bolt_app(services.client, services.workspace)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(services.unpaid.close)
        homes, lists, pay_forms = Homes(services), Lists(services), PayForms(services)
        looking = Poller("home", homes.poll_once, homes.pool.wake, poll)
        bot.answering = [homes.pool, lists.pool, pay_forms.pool]
        await stack.enter_async_context(_polling(bot, [looking], bot.answering, None, grace=LAST_WORDS))
        stack.push_async_callback(services.gate.emptied, 3.0)
        for subject in (
            Commands(services, lists, pay_forms),
            Decisions(services),
            pay_forms,
            homes,
            WorkflowStep(services),
        ):
            subject.register(app)
        if settings.slack_app_token is not None:
            token = settings.slack_app_token.get_secret_value()
            await stack.enter_async_context(
                socket_mode(app, services.client, token, services.ledger.instances)
            )
        elif settings.slack_signing_secret is not None:
            secret, host, port = settings.slack_signing_secret, settings.http_host, settings.http_port
            await stack.enter_async_context(http_mode(app, secret, host, port))
        yield


@contextlib.asynccontextmanager
async def _polling(
    bot: Bot,
    pollers: list[Poller],
    pools: Sequence[TaskPool[Any]],
    tell: Ledger | None,
    *,
    grace: float,
) -> AsyncIterator[None]:
    """Run the pollers until the block ends; then let the work under way finish.

    What does not finish in time is left to its lease. tell: first deliver what is still to be told.
    """

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a loop ended that must not", loop=task.get_name(), exc_info=error)
            bot.broken.set()

    tasks = [asyncio.create_task(poller.run(), name="poller") for poller in pollers]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        if tell is not None and not bot.broken.is_set():
            await _told(tell)
        for poller in pollers:
            poller.stop()
        await asyncio.wait(tasks)
        await asyncio.gather(*(pool.drain(grace) for pool in pools))


async def _told(ledger: Ledger) -> None:
    changed = ledger.watch()
    with contextlib.suppress(TimeoutError, LedgerUnavailable):
        async with asyncio.timeout(LAST_WORDS):
            while await ledger.any_due(OUTBOX):
                await changed.wait()
                changed.clear()
    ledger.unwatch(changed)
