"""Remove…: who may take invoices out of a request of several, what is left, and what a late click does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot import app
from bot.domain.batch import MOST_LINES
from bot.domain.payment import InvoiceRef, State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.blocks import checked_view
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import APPROVE, DENY, REMOVE, WITHDRAW
from bot.slack.removal import REASON, WHICH, remove_form, what_was_kept
from tests.fixture_types import StartBot
from tests.slack.acting import (
    THREE,
    approve,
    at_rest,
    card,
    chosen,
    invoices,
    posts,
    refusals,
    request,
    request_several,
    shown,
    states_of,
    text,
    thread,
    told,
)
from tests.slack.scenes import batch_of

PENDING, CANCELLED, PAID = State.PENDING_APPROVAL, State.CANCELLED, State.PAID


@pytest.fixture
async def bot(start_bot: StartBot) -> app.Bot:
    """It asks for one approval."""
    return await start_bot(PAY_APPROVALS_REQUIRED="1")


async def remove(
    slack: LocalSlack, target: Message, by: str, refs: Sequence[InvoiceRef], why: str = "not ours"
) -> Result:
    """Press Remove…, choose, say why, and submit."""
    before = len(slack.views(by))
    assert (await slack.person(by).clicks(target, REMOVE)).ok
    await slack.wait_for(lambda: len(slack.views(by)) > before)
    return await slack.person(by).submits(slack.views(by)[-1], chosen(WHICH, *refs) | text(REASON, why))


@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_the_requester_and_an_approver_take_invoices_out(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot, person: str
) -> None:
    """Card and thread say what is left; that alone is approved and paid."""
    asked = await request_several(slack, bot)
    assert asked.action_ids() == [APPROVE, DENY, REMOVE, WITHDRAW]
    assert (await remove(slack, asked, person, THREE[:1])).ok
    await at_rest(bot)
    assert slack.views(person) == []
    assert await states_of(bot) == [CANCELLED, PENDING, PENDING]
    assert "3 payments · 169.99 USD" in shown(card(slack))
    (reply,) = card(slack).thread
    assert "What is left costs 169.99 USD." in shown(reply)
    assert "not ours" in shown(reply)
    await slack.person("carol").clicks(asked, APPROVE)
    assert "was not counted" in await told(slack, "carol")
    await approve(slack, card(slack), "carol")
    await at_rest(bot)
    assert await states_of(bot) == [CANCELLED, PAID, PAID]
    assert billing.payments_received("vps", 10101) == 0


async def test_several_removed_at_once_are_told_in_one_message(slack: LocalSlack, bot: app.Bot) -> None:
    """One that waits is left: it is denied or withdrawn, so the button is gone."""
    asked = await request_several(slack, bot)
    await remove(slack, asked, "alice", THREE[:2])
    await at_rest(bot)
    assert len(thread(slack)) == 1
    assert all(f"{ref}* · Left out by" in thread(slack)[0] for ref in THREE[:2])
    assert card(slack).action_ids() == [APPROVE, DENY, WITHDRAW]


async def test_all_of_them_may_go(slack: LocalSlack, bot: app.Bot) -> None:
    """Then nothing is asked for any more, and the invoices are free."""
    await remove(slack, await request_several(slack, bot), "bob", THREE)
    await at_rest(bot)
    assert await states_of(bot) == [CANCELLED] * 3
    assert card(slack).action_ids() == []
    assert "#2 · vps invoice 10101" in shown(await request(slack, bot))


async def test_whoever_may_not_gets_no_form(slack: LocalSlack, bot: app.Bot) -> None:
    """And it is in the trail."""
    asked = await request_several(slack, bot)
    await slack.person("mallory").clicks(asked, REMOVE)
    assert "not among those who may approve" in await told(slack, "mallory")
    assert slack.views("mallory") == []
    assert [one["what"] for one in await refusals(bot)] == ["leave out"]


async def test_a_request_for_one_has_no_such_button(slack: LocalSlack, bot: app.Bot) -> None:
    """It is denied or withdrawn."""
    assert (await request(slack, bot)).action_ids() == [APPROVE, DENY, WITHDRAW]


@pytest.mark.parametrize(("why", "refs"), [("   ", THREE[:1]), ("not ours", [])])
async def test_which_and_why_must_be_said(
    slack: LocalSlack, bot: app.Bot, why: str, refs: list[InvoiceRef]
) -> None:
    """What was entered stays open."""
    result = await remove(slack, await request_several(slack, bot), "alice", refs, why)
    assert not result.ok
    assert slack.views("alice")[-1].errors
    assert await states_of(bot) == [PENDING] * 3


async def test_a_form_that_comes_too_late_takes_nothing_out(slack: LocalSlack, bot: app.Bot) -> None:
    """It was approved meanwhile, and says so."""
    asked = await request_several(slack, bot)
    await slack.person("alice").clicks(asked, REMOVE)
    form = (await slack.wait_for(lambda: slack.views("alice")))[-1]
    await approve(slack, asked, "bob")
    await at_rest(bot)
    await slack.person("alice").submits(form, chosen(WHICH, *THREE) | text(REASON, "not ours"))
    assert await states_of(bot) == [PAID] * 3
    assert "is past that" in shown(slack.views("alice")[-1])


async def test_a_hundred_can_be_picked(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> None:
    """As many as a request holds, and the form and the message that tells it keep Slack's limits."""
    refs = invoices(billing, MOST_LINES)
    asked = await request_several(slack, bot, refs)
    assert (await remove(slack, asked, "alice", refs[:99], "no money")).ok
    await at_rest(bot)
    assert (await states_of(bot)).count(PENDING) == 1
    assert set(posts(slack)) == {None}
    assert all(any(f"{ref}* ·" in reply for reply in thread(slack)) for ref in refs[:99])
    assert len(slack.messages("#payments")[0].thread) < 9


def test_the_form_keeps_slacks_limits() -> None:
    """With as many as a request holds."""
    checked_view(remove_form(batch_of(*[PENDING] * MOST_LINES)), "modal")


def test_what_could_not_be_taken_out_is_said() -> None:
    """Of those that were chosen, however many they are."""
    batch = batch_of(PAID, *[State.UNKNOWN] * 97, CANCELLED, PENDING)
    assert what_was_kept(batch, [batch.payments[98].ref]) is None
    refs = [one.ref for one in batch.payments[:99]]
    kept = what_was_kept(batch, refs)
    assert kept is not None
    assert "*vps 10101*: Paid" in kept
    assert len(kept) < 3000
    assert "more." in kept
