"""The form asks for what it shows: amounts that changed since they were picked are shown first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.domain.payment import State
from bot.payments.unpaid import Listing
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


async def test_an_amount_that_changes_right_after_it_was_compared_is_not_paid(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The form compared it with a reading of a moment ago; the look-up reads it anew."""
    bot = await start_bot()
    view = await form(slack, "vps")
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_amount"] = 9000.0
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101", "vps 10102"))).ok
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert [one.state for one in batch.payments] == [State.CANCELLED, State.PAID]
    assert "it was asked for at 10.00 USD and costs 9,000.00 USD now" in str(card(slack))


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


async def test_amounts_that_cannot_be_read_any_more_are_asked_for_knowingly(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The form says so; submitted again, it asks for them whatever they cost, and the look-up reads them."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.BOB)
    view = await form(slack, "vps")
    billing.fail("unreadable")
    forget_readings(bot)
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101"))).ok
    view = await says(
        slack, "Nothing is requested yet.", "`vps 10101` cannot be read now; you picked 10.00 USD"
    )
    assert not await bot.ledger.recent()
    assert "*1 payment · 1 of unknown amount*" in shown(view)
    assert (await slack.person("alice").submits(view, {})).ok
    assert slack.views("alice") == []
    await at_rest(bot)
    assert "amount unknown" in shown(card(slack))


async def test_nothing_is_paid_at_another_amount_than_was_picked_as_nobody_could_read_it(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Picked at 10.00; unreadable when the form came; 9,000.00 a moment later, and nobody has to approve."""
    bot = await start_bot()
    view = await form(slack, "vps")
    costs_by_now(bot, billing, 9000.0)
    billing.fail("unreadable")
    read = bot.services.unpaid.of

    async def heals(modules: Sequence[str]) -> Listing:
        listing = await read(modules)
        billing.heal()
        return listing

    monkeypatch.setattr(bot.services.unpaid, "of", heals)
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101"))).ok
    await says(slack, "Nothing is requested yet.")
    await at_rest(bot)
    assert billing.payments_received("vps", 10101) == 0


async def test_one_amount_that_cannot_be_read_among_others_is_no_other_amount(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The others stay as they were picked."""
    bot = await start_bot()
    view = await form(slack, "vps")
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_currency"] = ""
    forget_readings(bot)
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101", "vps 10102"))).ok
    view = await says(
        slack, "`vps 10101` cannot be read now", "The amount of 1 more cannot be read: vps 10101."
    )
    assert "*2 payments · 49.99 USD · 1 of unknown amount*" in shown(view)
