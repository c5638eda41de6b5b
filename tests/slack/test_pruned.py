"""A request whose people's details are erased: Slack is told what was paid, and names nobody."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.payment import State
from bot.sandbox.local_slack import LocalSlack
from bot.slack.text import mention
from tests.fixture_types import StartBot
from tests.ledger.pruned import pruned
from tests.slack.acting import approve, asks, at_rest, card, request, shown


async def test_a_request_whose_people_are_erased_is_told_without_them(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """In the status, the lists, Home and the card; and its invoice is not paid again."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot, "vps 10101 note: Zoe")
    assert (await approve(slack, asked, "bob")).ok
    await at_rest(bot)
    assert await pruned(bot.ledger, bot.ledger.clock() + timedelta(hours=1)) == 1
    status = await asks(slack, "status 1")
    assert "somebody whose name was erased" in status
    assert "people's ids, notes and reasons erased" in status
    for personal in ("Zoe", "<@U", "erased-"):
        assert personal not in status
    assert "#1" not in await asks(slack, "mine")
    await slack.person("bob").opens_home()
    view = await slack.wait_for(lambda: slack.home("bob"))
    assert view is not None
    assert "10101" not in shown(view)
    result = await slack.person("alice").types("#payments", "/pay vps 10101")
    assert result.ok
    await at_rest(bot)
    assert (await bot.ledger.by_state()) == {State.PAID: 1}
    async with bot.ledger.transaction() as transaction:
        await transaction.outbox.repair_cards(1)
    await at_rest(bot)
    assert "somebody whose name was erased" in shown(card(slack))
    assert "erased-" not in shown(card(slack))
    assert (await bot.ledger.verify()).whole


def test_who_is_erased_is_no_mention() -> None:
    """Slack would show a mention of an id that there is not."""
    assert mention("erased-12") == "somebody whose name was erased"
    assert mention("UERASED1") == "<@UERASED1>"
