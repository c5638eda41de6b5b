"""People's numbers are those of requests. What the tables call a payment is another one.

In most ledgers of the tests both are the same; here they never are.
Statements are the same on both databases.
"""

from __future__ import annotations

import asyncio

import pytest

from bot import app
from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.card import WAS_PAID
from bot.slack.pace import Pace
from tests.fixture_types import QUICK, NewDatabase, NewSettings
from tests.ledger.opening import execute
from tests.slack.acting import approve, at_rest, card, deny, request, shown, text, told, withdraw

_APART = "UPDATE sqlite_sequence SET seq = 1000 WHERE name = 'payments'"

_PACE = Pace(posts=1000, updates=1000, burst=1000)


@pytest.fixture
def ledger_url(new_database: NewDatabase) -> str:
    """The LEDGER_URL of a ledger whose first payment has the id 1001."""
    url = new_database(migrated=True)
    asyncio.run(execute(url, _APART))
    return url


async def test_whatever_people_do_is_done_to_what_they_name(
    slack: LocalSlack, billing: LocalBilling, settings: NewSettings
) -> None:
    """By buttons and by commands, before and after a restart of the bot."""
    variables = settings(PAY_APPROVALS_REQUIRED="1")
    async with app.running(variables, timing=QUICK, pace=_PACE) as bot:
        assert (await approve(slack, await request(slack, bot, "vps 10101"), "bob")).ok
        await at_rest(bot)
        denied = await request(slack, bot, "vps 10102")
        assert (await deny(slack, denied, "bob", "not ours")).ok
        assert (await withdraw(slack, await request(slack, bot, "vps 10103"), "alice")).ok
        await at_rest(bot)
        billing.fail("reset-before", operation="api_make_payment")
        for invoice in ("mail 10301", "domains 10001"):
            assert (await approve(slack, await request(slack, bot, invoice), "bob")).ok
            await at_rest(bot)

    async with app.running(variables, timing=QUICK, pace=_PACE) as bot:
        await at_rest(bot)
        assert await _states(bot) == [State.PAID, State.DENIED, State.CANCELLED, State.UNKNOWN, State.UNKNOWN]
        assert (await slack.person("bob").types("#payments", "/pay resolve 4 paid on the statement")).ok
        assert (await slack.person("bob").clicks(card(slack), WAS_PAID)).ok
        form = (await slack.wait_for(lambda: slack.views("bob")))[-1]
        assert (await slack.person("bob").submits(form, text("how", "on the statement"))).ok
        await at_rest(bot)
        assert (await _states(bot))[3:] == [State.PAID, State.PAID]
        for number, invoice in ((1, "10101"), (2, "10102"), (5, "10001")):
            before = len(slack.ephemerals("alice"))
            assert (await slack.person("alice").types("#payments", f"/pay status {number}")).ok
            await slack.wait_for(lambda: len(slack.ephemerals("alice")) > before)  # noqa: B023
            assert f"#{number}" in (said := await told(slack, "alice"))
            assert invoice in said
        assert (await slack.person("bob").types("#payments", "/pay status 1001")).ok
        await slack.wait_for(lambda: "no payment #1001" in shown(slack.ephemerals("bob")[-1]))
        assert "#100" not in "\n".join(shown(one) for one in slack.messages("#payments"))
        assert (await bot.ledger.verify()).whole
        assert billing.payments_received("vps", 10101) == 1


async def _states(bot: app.Bot) -> list[State]:
    """Of all that was asked for, in the order in which it was."""
    found = [await bot.ledger.of_request(number) for number in range(1, 6)]
    assert [one and one.first.id for one in found] == [1001, 1002, 1003, 1004, 1005]
    return [one.first.state for one in found if one is not None]
