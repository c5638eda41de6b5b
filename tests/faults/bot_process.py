"""The bot as a process of its own, as `python -m bot run` runs it, but impatient and with kill points."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot import app, config, logs
from bot.__main__ import main
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack import web_api
from bot.slack.pace import Pace
from tests.faults.clocks import clocks_read, use_clocks
from tests.faults.kill_points import KillPoints
from tests.fixture_types import QUICK, environment_of
from tests.slack.acting import approve, card, request, shown
from tests.statements import share_statements


@dataclass(frozen=True, slots=True)
class BotOptions:
    """How one process is to run.

    settings: the environment. trace, log: files to append to. clocks: what it reads time by; see `clocks`.
    kill_at, stop_at: the point to die at, and the one to stop at until it is told to go on.
    command: what to do in place of running the bot, as typed after `python -m bot`.
    lease, settling, remind_unknown, grace: seconds. posts: messages a second and channel, and `burst` at
    once; far more than Slack allows, unless a test is about that.
    """

    settings: dict[str, str]
    trace: str
    log: str
    clocks: str
    kill_at: str | None = None
    stop_at: str | None = None
    command: Sequence[str] = ()
    lease: float = 3.0
    settling: float = 1.0
    remind_unknown: float = 3600.0
    grace: float = 20.0
    posts: float = 500
    burst: float = 500


def warm_up(ledger_url: str) -> None:
    """Pay an invoice here once on each kind of database, so that what a bot does for the first time is done
    before it is forked: what is compiled by then is compiled for all.

    ledger_url: of a ledger on PostgreSQL, without a row. Leaves nothing running and nothing open.
    """
    share_statements()
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        for url in (ledger_url, f"sqlite:///{folder}/ledger.db"):
            asyncio.run(_pay_once(url))
    clocks_read()
    while len(threading.enumerate()) > 1:
        time.sleep(0.01)


async def _pay_once(ledger_url: str) -> None:
    """One asks, another approves, and the answer is lost; what became of it is found out."""
    slack, billing = LocalSlack(), LocalBilling()
    async with slack, contextlib.AsyncExitStack() as stack:
        await billing.start()
        stack.push_async_callback(billing.stop)
        environment = environment_of(slack, billing, ledger_url) | {"PAY_APPROVALS_REQUIRED": "1"}
        timing = dataclasses.replace(QUICK, settling=timedelta(0))
        pace = Pace(posts=500, updates=500, burst=500)
        running = app.running(config.load(environment=environment), timing=timing, pace=pace)
        bot = await stack.enter_async_context(running)
        billing.fail("reset-after", times=1)
        asked = await request(slack, bot)
        assert (await approve(slack, asked, "bob")).ok
        await slack.wait_for(lambda: "Paid" in shown(card(slack)), 30)
        assert await bot.rest(30)


def run(options: BotOptions) -> int:
    """Run a bot until it is told to stop (0), breaks (1), or dies; or a command to its end."""
    use_clocks(options.clocks)
    if options.command:
        return _run_command(options)
    trace = os.open(options.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    kill_points = KillPoints(trace, kill_at=options.kill_at, stop_at=options.stop_at)
    kill_points.install()
    # One call of Slack must end well within a lease, as it does in earnest (15 s and 30 s).
    web_api.TIMEOUT = 1
    app.GRACE = options.grace
    settings = config.load(environment=options.settings)
    logs.configure(settings)
    return asyncio.run(_until_stopped(settings, options, kill_points))


def _run_command(options: BotOptions) -> int:
    os.chdir(os.path.dirname(options.log))  # where no .env is
    os.environ.clear()
    os.environ.update(options.settings)
    try:
        main(args=list(options.command), prog_name="python -m bot")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


async def _until_stopped(settings: config.Settings, options: BotOptions, kill_points: KillPoints) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    pace = Pace(posts=options.posts, updates=500, burst=options.burst)
    async with app.running(
        settings, timing=_timing(options), pace=pace, checkpoint=kill_points.checkpoint
    ) as bot:
        await bot.run_until(stop)
    return 1 if bot.broken.is_set() else 0


def _timing(options: BotOptions) -> Timing:
    """A day in a few seconds, in proportion."""
    return Timing(
        visible_within=timedelta(seconds=0.2),
        late=timedelta(seconds=0.3),
        lease=timedelta(seconds=options.lease),
        look_up=1.0,
        fresh=timedelta(seconds=1),
        hold=timedelta(seconds=0.3),
        not_sent=(timedelta(seconds=0.2), timedelta(seconds=0.4), timedelta(seconds=0.8)),
        settling=timedelta(seconds=options.settling),
        reconcile_first=timedelta(seconds=0.2),
        reconcile_most=timedelta(seconds=1),
        remind_unknown=timedelta(seconds=options.remind_unknown),
        deliver_most=timedelta(seconds=0.5),
    )
