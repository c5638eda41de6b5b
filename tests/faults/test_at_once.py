"""Many people at the same moment, at several instances on one ledger."""

from __future__ import annotations

import asyncio
import re

from bot.domain.payment import State
from bot.sandbox.local_slack.interactions import Result
from tests.effort import LONG
from tests.faults.conftest import InstallationOn
from tests.faults.counts import Counts
from tests.faults.invariants import check_invariants

INVOICES = range(20001, 20051 if LONG else 20011)
PEOPLE = ("alice", "bob", "carol", "alice")
AT_ONCE = 10
"""Invoices that are asked for at the same moment: more would keep two processors busy for all of the three
seconds that Slack waits, where other tests run beside this one."""

CHANNELS = 10

ALREADY = re.compile(r"vps invoice (\d+) was already (requested|paid); it is #\d+\.")


async def test_four_commands_an_invoice_at_once_make_one_payment_of_each(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """40 times /pay for 10 invoices at the same moment, at two instances: 10 payments, and 30 refusals that
    say so, in time."""
    async with installation_on("postgres", channels=CHANNELS) as installation:
        for number in INVOICES:
            installation.billing.add_invoice("vps", number)
        for _ in range(2):
            await installation.start()
        channels = ["payments", *(f"payments-{number}" for number in range(2, CHANNELS + 1))]
        results: list[Result] = []
        for wave in (INVOICES[first : first + AT_ONCE] for first in range(0, len(INVOICES), AT_ONCE)):
            results += await asyncio.gather(
                *(
                    installation.slack.person(person).types(
                        channels[(number + turn) % CHANNELS], f"/pay vps {number}"
                    )
                    for turn, person in enumerate(PEOPLE)
                    for number in wave
                )
            )
        assert [result for result in results if not result.ok] == []
        slowest = max(result.seconds for result in results)
        assert slowest < 3
        counts.slowest = max(counts.slowest, slowest)
        installation.acknowledged += [("vps", number) for number in INVOICES]
        await installation.rest(60)

        found = await check_invariants(installation)
        counts.add(found)
        assert not found.wrong
        assert found.payments == len(INVOICES)
        assert await (await installation.ledger()).by_state() == {State.PAID: len(INVOICES)}
        refused = [
            message.text
            for person in set(PEOPLE)
            for message in installation.slack.ephemerals(person)
            if ALREADY.match(message.text)
        ]
        assert len(refused) == len(results) - len(INVOICES)
        linked = [text for text in refused if "|See its card>" in text or "Its card follows." in text]
        assert linked == refused
