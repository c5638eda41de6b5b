"""The bot as a process of its own, as `python -m bot run` runs it, but impatient and with kill points."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot import app, config, logs
from bot.__main__ import main
from bot.ledger import database
from bot.payments.timing import Timing
from bot.sandbox.policies import DEFAULT, EXAMPLES
from bot.sandbox.run import sandbox
from bot.slack import web_api
from bot.slack.pace import Pace
from tests.faults.clocks import use_clocks
from tests.faults.kill_points import KillPoints


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


def warm_up() -> None:
    """Pay an invoice here once, so that what a bot does for the first time is done before it is forked.

    Leaves nothing running and nothing open.
    """
    with contextlib.redirect_stdout(sys.stderr):
        said = ["alice: /pay vps 10101"]
        rules = EXAMPLES[DEFAULT]
        asyncio.run(sandbox(port=0, says=said, fail=None, policy=rules, write=lambda _: None))
    database.engine_for("postgresql://nobody@localhost/nothing")
    while len(threading.enumerate()) > 1:
        time.sleep(0.01)


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
