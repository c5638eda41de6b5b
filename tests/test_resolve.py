"""Settling a lost answer too early: in Slack and on the command line, people are told when to look again."""

from __future__ import annotations

import asyncio
import re
import signal
from datetime import datetime, timedelta

from bot.domain.events import Resolved
from bot.domain.payment import State
from bot.leaving import BROKEN_OFF
from bot.ledger.opening import open_ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from tests.command_line import LONGEST, CommandLine
from tests.fixture_types import StartBot
from tests.ledger.making import request_in
from tests.slack.acting import at_rest, shown, told

SETTLING = timedelta(minutes=15) + 2 * timedelta(seconds=2)
"""The settling time, and twice the BILLING_TIMEOUT of the tests."""


async def test_slack_refuses_not_paid_with_the_time_and_takes_paid(
    slack: LocalSlack, start_bot: StartBot, billing: LocalBilling
) -> None:
    """`/pay resolve` right after the answer was lost: only the word that can do no harm is taken."""
    bot = await start_bot()
    billing.fail("reset-before", operation="api_make_payment")
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await at_rest(bot)
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.UNKNOWN
    until = payment.updated_at + SETTLING
    assert (await slack.person("bob").types("#payments", "/pay resolve 1 not-paid I see none")).ok
    said = await told(slack, "bob")
    assert "may still be carried out" in said
    told_until = re.search(r"<!date\^(\d+)\^", said)
    assert told_until is not None
    # Measured from when this process saw that the answer was lost, which is a moment later.
    assert 0 <= int(told_until[1]) - int(until.timestamp()) <= 5
    assert await bot.ledger.by_state() == {State.UNKNOWN: 1}
    assert (await slack.person("bob").types("#payments", "/pay resolve 1 paid I see it")).ok
    await slack.wait_for(lambda: len(slack.ephemerals("bob")) == 2)
    assert "Paid" in shown(slack.ephemerals("bob")[-1])
    assert await bot.ledger.by_state() == {State.PAID: 1}


async def test_the_command_line_refuses_not_paid_with_the_time(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """`python -m bot resolve` ends with code 1, changes nothing, and says when to look again."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        payment = await request_in(ledger, State.UNKNOWN)
    until = payment.updated_at + SETTLING
    early = await command("resolve", "1", "not-paid", "I see none", **environment)
    assert (early.code, early.out) == (1, "")
    # Measured from when the command saw that the answer was lost: perhaps in the next minute.
    assert early.err in {
        f"The call for #1 may still be carried out.\nLook again after {moment:%Y-%m-%d %H:%M} UTC.\n"
        for moment in (until, until + timedelta(seconds=30))
    }
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        assert await ledger.payment(1) == payment


async def test_the_command_line_makes_sure_by_its_own_clock_before_it_takes_not_paid(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """By the ledger's clock it is over; a clock can be set, so it waits as long by one that cannot."""
    started = datetime.now().astimezone()
    async with open_ledger(environment["LEDGER_URL"], clock=lambda: started - SETTLING) as ledger:
        await request_in(ledger, State.UNKNOWN)
    hasty = (
        "from datetime import timedelta; from bot.payments.timing import Timing;"
        "Timing.settled_after = lambda self, timeout: timedelta(seconds=0.5)"
    )
    settled = await command("resolve", "1", "not-paid", "I see none", before=hasty, **environment)
    assert settled.code == 0, settled
    first, second, last = settled.out.splitlines()
    assert first.startswith("Making sure by this machine's own clock, until ")
    assert second == "Let this run until then. If you stop it, nothing is changed."
    assert last.startswith("#1 is DECLINED.")


async def test_what_is_settled_meanwhile_is_not_overturned_by_who_waits(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """The word of who waits is older, and they do not know of the other one: they hear of it at once."""
    started = datetime.now().astimezone()
    hasty = (
        "from datetime import timedelta; from bot.payments.timing import Timing;"
        "Timing.settled_after = lambda self, timeout: timedelta(seconds=4)"
    )
    async with open_ledger(environment["LEDGER_URL"], clock=lambda: started - SETTLING) as ledger:
        unknown = await request_in(ledger, State.UNKNOWN)
        process = await command.start("resolve", "1", "not-paid", "I see none", before=hasty, **environment)
        assert process.stdout is not None
        async with asyncio.timeout(LONGEST):
            assert await process.stdout.readline()
        async with ledger.transaction() as transaction:
            await transaction.move(
                unknown, State.PAID, Resolved(True, "I see it"), actor="U2", reason="I see it"
            )
    async with asyncio.timeout(LONGEST):
        _, said = await process.communicate()
    assert (process.returncode, "#1 is PAID; only UNKNOWN ones can be settled" in said.decode()) == (1, True)
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        assert await ledger.by_state() == {State.PAID: 1}


async def test_whoever_does_not_wait_changes_nothing(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """Stopped while it makes sure."""
    started = datetime.now().astimezone()
    async with open_ledger(environment["LEDGER_URL"], clock=lambda: started - SETTLING) as ledger:
        payment = await request_in(ledger, State.UNKNOWN)
    process = await command.start("resolve", "1", "not-paid", "I see none", **environment)
    assert process.stdout is not None
    async with asyncio.timeout(LONGEST):
        assert await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(LONGEST):
        await process.communicate()
    assert process.returncode == BROKEN_OFF
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        assert await ledger.payment(1) == payment
