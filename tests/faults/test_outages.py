"""What others do to the bot for a while: Slack, the database and the billing API out of reach.

Most of an outage is waiting, so all of them, each on an installation of its own, run side by side.
"""

from __future__ import annotations

import asyncio

from bot.domain.payment import State
from bot.sandbox.local_billing.books import MODULES
from bot.sandbox.local_slack.interactions import Result
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.installation import Installation
from tests.faults.invariants import check_invariants
from tests.faults.proxy import open_proxy
from tests.postgresql import Databases

SLACK_GONE = 6.0
"""Seconds; each of the bot's waits is as much shorter than in earnest as this is than a minute."""

DATABASE_GONE = 10.0
BILLING_STALLS = 8.0
"""Seconds; any time well above the three in which a command must be acknowledged serves."""


async def _rests_in_truth(installation: Installation, counts: Counts, timeout: float = 30) -> None:
    await installation.rest(timeout)
    found = await check_invariants(installation)
    counts.add(found)
    assert not found.wrong, "\n".join(found.wrong)


async def test_an_outage_in_the_middle_costs_nobody_their_answer(
    installation_on: InstallationOn, counts: Counts, databases: Databases
) -> None:
    """Slack, the database or the billing API gone: every command is answered in time, and all comes right."""
    async with asyncio.TaskGroup() as outages:
        for database in DATABASES:
            outages.create_task(_slack_gone(installation_on, counts, database))
            outages.create_task(_billing_stalls(installation_on, counts, database))
        for frozen in (False, True):
            outages.create_task(_database_gone(installation_on, counts, databases, frozen=frozen))


async def _slack_gone(installation_on: InstallationOn, counts: Counts, database: str) -> None:
    """What was asked before is paid meanwhile, and told once when Slack is back."""
    async with installation_on(database, channels=4) as installation:
        for _ in range(1 if database == "sqlite" else 2):
            await installation.start()
        numbers = range(20001, 20021)
        for number in numbers:
            installation.billing.add_invoice("vps", number)
        for number in numbers[:-1]:
            await installation.asks(
                "alice", "payments" if number % 4 == 0 else f"payments-{number % 4 + 1}", "vps", number
            )
        async with installation.slack.outage():
            assert not (await installation.slack.person("alice").types("payments", "/pay vps 20020")).ok
            await asyncio.sleep(SLACK_GONE)
        await installation.slack.wait_for(lambda: installation.slack.sockets.connections > 0, timeout=30)
        await installation.asks("alice", "payments", "vps", 20020)
        await _rests_in_truth(installation, counts)
        assert await (await installation.ledger()).by_state() == {State.PAID: len(numbers)}


async def _database_gone(
    installation_on: InstallationOn, counts: Counts, databases: Databases, *, frozen: bool
) -> None:
    """Every command is answered in time, with "try again" or by a card, and all of them agree in the end.

    frozen: nothing is passed on, and nobody is told; otherwise connections are refused.
    """
    async with (
        open_proxy(lambda: asyncio.open_unix_connection(str(databases.socket))) as proxy,
        # The bot answers by its own clock, within Slack's three seconds; a busy machine may add some.
        installation_on("postgres", channels=4, ack_deadline=6.0) as installation,
    ):
        behind = installation.ledger_url.partition("?")[0].replace("@/", f"@127.0.0.1:{proxy.port}/")
        for _ in range(2):
            await installation.start(settings={"LEDGER_URL": behind})
        numbers = range(20001, 20061)
        for number in numbers:
            installation.billing.add_invoice("vps", number)
        typed: list[asyncio.Task[Result]] = []

        async def type_steadily(seconds: float) -> None:
            for number in numbers[len(typed) : len(typed) + int(seconds * 3)]:
                person = installation.slack.person("alice")
                typed.append(asyncio.create_task(person.types("payments", f"/pay vps {number}")))
                await asyncio.sleep(1 / 3)

        await type_steadily(2)
        if frozen:
            proxy.freeze()
        else:
            await proxy.cut()
        await type_steadily(DATABASE_GONE)
        if frozen:
            proxy.thaw()
        else:
            await proxy.open()
        await type_steadily(2)
        results = await asyncio.gather(*typed)
        assert [result for result in results if not result.ok] == []
        counts.slowest = max(counts.slowest, *(result.seconds for result in results))
        for number in numbers[: len(typed)]:
            await installation.asks("alice", "payments", "vps", number)
        await _rests_in_truth(installation, counts)
        assert await (await installation.ledger()).by_state() == {State.PAID: len(typed)}


async def _billing_stalls(installation_on: InstallationOn, counts: Counts, database: str) -> None:
    """100 commands while nothing is answered: each acknowledged in time, and none of them lost."""
    async with installation_on(database, channels=10) as installation:
        await installation.start(settings={"BILLING_TIMEOUT": "60"})
        invoices = [(MODULES[number % 10], number) for number in range(20001, 20101)]
        for invoice in invoices:
            installation.billing.add_invoice(*invoice)
        installation.billing.fail("stall")
        loop = asyncio.get_running_loop()
        heals_at = loop.time() + BILLING_STALLS
        typed = []
        for module, number in invoices:
            channel = "payments" if number % 10 == 0 else f"payments-{number % 10 + 1}"
            person = installation.slack.person("alice")
            typed.append(asyncio.create_task(person.types(channel, f"/pay {module} {number}")))
            await asyncio.sleep(BILLING_STALLS / 2 / len(invoices))
        results = await asyncio.gather(*typed)
        assert [result for result in results if not result.ok] == []
        counts.slowest = max(counts.slowest, *(result.seconds for result in results))
        installation.acknowledged += invoices
        await asyncio.sleep(heals_at - loop.time())
        installation.billing.heal()
        await _rests_in_truth(installation, counts, 60)
        assert sum((await (await installation.ledger()).by_state()).values()) == len(invoices)
