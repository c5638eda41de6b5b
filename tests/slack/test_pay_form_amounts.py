"""The form asks for what it shows: amounts that changed since they were picked are shown first."""

from __future__ import annotations

from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.pay_form_view import NOTE
from tests.fixture_types import StartBot
from tests.slack.acting import at_rest, card, costs_by_now, forget_readings, request, shown, text
from tests.slack.filling import (
    chosen,
    form,
    picked,
    says,
)


async def test_amounts_that_changed_since_they_were_picked_are_shown_before_anything_is_asked_for(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The form stays, with what was typed in it and the new total; submitted again, it asks for that."""
    bot = await start_bot()
    view = await form(slack, "vps")
    costs_by_now(bot, billing, 9000.0)
    entered = picked(view, "vps 10101", "vps 10102") | text(NOTE, "month end")
    assert (await slack.person("alice").submits(view, entered)).ok
    view = await says(slack, "Nothing is requested yet.", "`vps 10101` is 9,000.00 USD now; you picked 10.00")
    assert not await bot.ledger.recent()
    assert "*2 payments · 9,049.99 USD*" in shown(view)
    assert chosen(view) == ["vps 10101", "vps 10102"]
    assert (await slack.person("alice").submits(view, {})).ok
    assert slack.views("alice") == []
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert [one.state for one in batch.payments] == [State.PAID] * 2
    assert batch.request.note == "month end"


async def test_what_is_requested_already_is_compared_no_more(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Who picked it at the old amount is told of the request, and not of the amount."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.BOB)
    view = await form(slack, "vps")
    await request(slack, bot, "vps 10101")
    costs_by_now(bot, billing, 9000.0)
    result = await slack.person("alice").submits(view, picked(view, "vps 10101"))
    assert "#1" in str(result.errors)


async def test_a_form_goes_on_where_the_lists_cannot_be_read_any_more(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The look-up reads them again, and says what it finds."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.BOB)
    view = await form(slack, "vps")
    billing.fail("unreadable")
    forget_readings(bot)
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101"))).ok
    await at_rest(bot)
    assert "amount unknown" in shown(card(slack))
