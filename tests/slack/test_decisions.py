"""Approve, Deny and Withdraw: who may, what counts, and what everybody and only the clicker gets to see."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE, ASK_AGAIN, DENY, WITHDRAW
from tests.fixture_types import QUICK, StartBot
from tests.slack.acting import (
    approve,
    at_rest,
    card,
    deny,
    press_deny,
    refusals,
    request,
    shown,
    thread,
    told,
    withdraw,
)


async def test_an_approval_leads_to_the_payment(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Nothing is paid before it; then each step is told once in the thread, and no button stays."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    assert asked.action_ids() == [APPROVE, DENY, WITHDRAW]
    assert "Needs 1 more approval from <@U0BOB00001> or <@U0CAROL001>" in shown(asked)
    assert billing.payments_received("vps", 10101) == 0
    assert (await approve(slack, asked, "bob")).ok
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1
    assert thread(slack) == [
        "#1: Approved by <@U0BOB00001> (1 of 1). That is all it needs.",
        "#1: Sending it to the billing API now.",
        "#1: Paid. The billing API says: Payment of 10.00 USD for Invoice 10101 Successful.",
    ]
    assert card(slack).action_ids() == []
    assert "Approved by <@U0BOB00001>" in shown(card(slack))
    assert slack.ephemerals("bob") == []


async def test_the_thread_says_that_it_is_sent_before_there_is_an_answer(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Also again, where nothing went out the first time."""
    again = timedelta(seconds=0.5)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", timing=replace(QUICK, not_sent=(again, again)))
    asked = await request(slack, bot)
    billing.fail("down")
    await approve(slack, asked, "bob")
    await slack.wait_for(lambda: len(thread(slack)) == 3)
    billing.heal()
    await slack.wait_for(lambda: "Paid" in thread(slack)[-1])
    assert [line.partition(".")[0] for line in thread(slack)] == [
        "#1: Approved by <@U0BOB00001> (1 of 1)",
        "#1: Sending it to the billing API now",
        "#1: Not sent; will be tried again",
        "#1: Sending it again (try 2)",
        "#1: Paid",
    ]


async def test_what_the_last_check_stops_is_never_called_sent(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Approved, and then found changed: the thread says the one and the other, and nothing in between."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", timing=replace(QUICK, fresh=timedelta(0)))
    asked = await request(slack, bot)
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_amount"] = 10.01
    await approve(slack, asked, "bob")
    await at_rest(bot)
    assert [line.partition("\n")[0] for line in thread(slack)] == [
        "#1: Approved by <@U0BOB00001> (1 of 1). That is all it needs.",
        "#1: Cancelled: the amount changed from 10.00 USD to 10.01 USD since it was requested",
    ]


async def test_the_button_of_a_card_that_did_not_show_the_amount_approves_nothing_else(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Its update is late; what Carol sees is not what she would approve, so her click counts for nothing."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    billing.add_invoice("vps", 10101, amount=90_000.0)
    billing.fail("reset-before", operation="api_vps_get_client_unpaid_invoices")
    old = await request(slack, bot)
    billing.heal()
    slack.fail("chat.update", "error:internal_error")
    assert (await approve(slack, old, "bob")).ok
    await slack.wait_for(lambda: "Please decide again. Needs 1 more approval" in str(thread(slack)))
    assert "amount unknown" in shown(card(slack))
    assert (await approve(slack, card(slack), "carol")).ok
    assert "which what you clicked did not show; your approval was not counted." in await told(slack, "carol")
    assert billing.payments_received("vps", 10101) == 0
    slack.heal()
    await slack.wait_for(lambda: "90,000.00 USD" in shown(card(slack)))
    assert (await approve(slack, card(slack), "carol")).ok
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1


async def test_two_approvals_are_by_two_people(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The card names who approved and how many are missing; the second person's approval sends it."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    await approve(slack, await request(slack, bot), "bob")
    await at_rest(bot)
    half = card(slack)
    assert "Needs 1 more approval" in shown(half)
    assert "Approved so far by <@U0BOB00001>" in shown(half)
    assert billing.payments_received("vps", 10101) == 0
    await approve(slack, half, "carol")
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1
    assert [line.partition("(")[0] for line in thread(slack)[:2]] == [
        "#1: Approved by <@U0BOB00001> ",
        "#1: Approved by <@U0CAROL001> ",
    ]


async def test_approve_asks_once_more_with_amount_and_invoice(slack: LocalSlack, start_bot: StartBot) -> None:
    """And says of each click whether it is the one that pays."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    for person, follows in (
        ("bob", "You are 1 of 2; it is paid after one more."),
        ("carol", "You are 2 of 2; it is paid at once and cannot be undone."),
    ):
        (buttons,) = [block for block in card(slack).blocks if block["type"] == "actions"]
        question = buttons["elements"][0]["confirm"]["text"]["text"]
        assert question == f"Pay 10.00 USD for vps invoice 10101?\n{follows}"
        await approve(slack, asked, person)
        await at_rest(bot)


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("alice", "You asked for this payment, so you cannot approve it."),
        ("mallory", "You are not among those who may approve this payment."),
    ],
)
async def test_who_may_not_approve_is_told_why(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, person: str, why: str
) -> None:
    """Alone, with the card as it was and the attempt in the audit trail; also if the requester approves."""
    bot = await start_bot(PAY_APPROVERS=f"{ids.ALICE},{ids.BOB}", PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    result = await approve(slack, asked, person)
    assert result.ok
    assert why in await told(slack, person)
    await at_rest(bot)
    assert card(slack).blocks == asked.blocks
    assert thread(slack) == []
    assert billing.payments_received("vps", 10101) == 0
    assert [one["actor"] for one in await refusals(bot)] == [slack.person(person).id]


async def test_somebody_of_another_organization_is_refused(slack: LocalSlack, start_bot: StartBot) -> None:
    """In a shared channel Xena can press the buttons; her own team counts, even where a rule names her."""
    bot = await start_bot(PAY_APPROVERS=f"{ids.BOB},{ids.XENA}", PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").types("#shared-with-partner", "/pay vps 10101")
    await at_rest(bot)
    asked = card(slack, "#shared-with-partner")
    for action in (APPROVE, DENY, WITHDRAW):
        assert (await slack.person("xena").clicks(asked, action)).ok
    await slack.wait_for(lambda: len(slack.ephemerals("xena")) == 3)
    assert "Only people of this workspace can do that." in shown(slack.ephemerals("xena")[0])
    assert slack.views("xena") == []
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.PENDING_APPROVAL
    reasons = [(one["actor"], one["reason"]) for one in await refusals(bot)]
    assert reasons == [(ids.XENA, "other_team")] * 2 + [(ids.XENA, "not_the_requester")]


@pytest.mark.parametrize(("approvers", "counts"), [(ids.FINANCE_GROUP, False), (ids.GIL, True)])
async def test_a_guest_approves_only_if_named(
    slack: LocalSlack, start_bot: StartBot, approvers: str, counts: bool
) -> None:
    """Being in the group does not do for a guest; being named by id does."""
    slack.world.change_group("finance", ["bob", "gil"])
    bot = await start_bot(PAY_APPROVERS=approvers, PAY_APPROVALS_REQUIRED="1")
    assert (await approve(slack, await request(slack, bot), "gil")).ok
    await at_rest(bot)
    if counts:
        assert thread(slack)[0].startswith("#1: Approved by <@U0GIL00001>")
    else:
        assert "Guests, deactivated people and bots cannot do that." in await told(slack, "gil")


async def test_a_double_click_counts_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """The second click is told that the first was counted."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    await approve(slack, asked, "bob")
    assert (await approve(slack, asked, "bob")).ok
    assert "each person counts once" in await told(slack, "bob")
    await at_rest(bot)
    assert len(await bot.ledger.approvers(1)) == 1
    assert len(thread(slack)) == 1


async def test_a_click_that_slack_delivers_twice_counts_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """The same envelope again changes nothing."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    slack.duplicate_next(1)
    assert (await approve(slack, asked, "bob")).ok
    await at_rest(bot)
    assert len(thread(slack)) == 1


async def test_a_stale_card_is_repaired(slack: LocalSlack, start_bot: StartBot) -> None:
    """Whoever presses a button that should be gone is told how it stands, and the card is put right."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    old = await request(slack, bot)
    await deny(slack, old, "bob", "not ours")
    await at_rest(bot)
    slack.world.update(card(slack), blocks=old.blocks, text=old.text)
    assert card(slack).action_ids() == [APPROVE, DENY, WITHDRAW]
    for person, action in (("carol", APPROVE), ("carol", DENY), ("alice", WITHDRAW)):
        assert (await slack.person(person).clicks(old, action)).ok
    await slack.wait_for(lambda: len(slack.ephemerals("carol")) == 2 and slack.ephemerals("alice"))
    assert "Nothing was done" in shown(slack.ephemerals("carol")[0])
    assert "Denied" in shown(slack.ephemerals("carol")[0])
    assert slack.views("carol") == []
    await at_rest(bot)
    assert card(slack).action_ids() == [ASK_AGAIN]
    assert "not ours" in shown(card(slack))


async def test_only_the_requester_takes_it_back(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """An approver's Withdraw is refused; the requester's is final, and the thread says so."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    await withdraw(slack, asked, "bob")
    assert "Only <@U0ALICE001> can do that." in await told(slack, "bob")
    await withdraw(slack, asked, "alice")
    await at_rest(bot)
    assert thread(slack) == ["#1: Withdrawn by <@U0ALICE001>, who asked for it. Nothing was paid."]
    assert card(slack).action_ids() == []
    assert billing.payments_received("vps", 10101) == 0


async def test_a_denial_says_who_and_why(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The reason is asked for, and stands in the thread and on the card, as harmless text."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    await approve(slack, asked, "bob")
    result = await deny(slack, asked, "carol", "<!channel> too dear &\nlate")
    assert result.ok
    assert slack.views("carol") == []
    await at_rest(bot)
    assert (
        thread(slack)[1]
        == "#1: Denied by <@U0CAROL001>. Nothing was paid.\n> &lt;!channel&gt; too dear &amp; late"
    )
    assert "&lt;!channel&gt; too dear &amp; late" in shown(card(slack))
    assert card(slack).action_ids() == [ASK_AGAIN]
    assert billing.payments_received("vps", 10101) == 0


@pytest.mark.parametrize("person", ["alice", "mallory"])
async def test_who_may_not_deny_is_not_asked_why(slack: LocalSlack, start_bot: StartBot, person: str) -> None:
    """No form opens; the refusal is told and audited."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    assert (await press_deny(slack, await request(slack, bot), person)).ok
    assert "may approve" in await told(slack, person) or "cannot approve" in await told(slack, person)
    assert slack.views(person) == []
    assert [one["what"] for one in await refusals(bot)] == ["deny"]


async def test_a_reason_that_comes_too_late_changes_nothing(slack: LocalSlack, start_bot: StartBot) -> None:
    """Approved while the form was open: the form says how it stands."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    await press_deny(slack, asked, "bob")
    await approve(slack, asked, "carol")
    await at_rest(bot)
    (view,) = await slack.wait_for(lambda: slack.views("bob"))
    values = {"reason": {"reason": {"type": "plain_text_input", "value": "too dear"}}}
    assert (await slack.person("bob").submits(view, values)).ok
    (after,) = slack.views("bob")
    assert "Nothing was done" in shown(after)
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.PAID


async def test_a_click_is_answered_in_time_while_slack_does_not_say_who_is_who(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Nothing is counted, and the person is asked to try again, well within three seconds."""
    bot = await start_bot(PAY_APPROVERS=ids.FINANCE_GROUP, PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    # The card is there; now the members of the group are not known any more, and cannot be read.
    slack.fail("usergroups.users.list", "timeout")
    slack.fail("users.info", "timeout")
    result = await approve(slack, asked, "carol")
    assert result.ok
    assert result.seconds < 2.5
    assert "Slack did not say in time" in await told(slack, "carol")
    assert (await press_deny(slack, asked, "carol")).ok
    assert slack.views("carol") == []
    assert await bot.ledger.approvers(1) == []


async def test_a_click_is_answered_while_the_ledger_is_away(
    slack: LocalSlack, start_bot: StartBot, ledger_url: str
) -> None:
    """Nothing is counted, and the person is asked to try again; afterwards the same click counts."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    with sqlite3.connect(ledger_url.removeprefix("sqlite:///")) as database:
        database.execute("ALTER TABLE approvals RENAME TO elsewhere")
        database.commit()
        for click in (approve, press_deny):
            assert (await click(slack, asked, "bob")).ok
        database.execute("ALTER TABLE elsewhere RENAME TO approvals")
        database.commit()
    database.close()
    assert "Try again in a minute." in await told(slack, "bob")
    await approve(slack, asked, "bob")
    await at_rest(bot)
    assert thread(slack)[0].startswith("#1: Approved by <@U0BOB00001>")


async def test_a_requester_who_may_not_ask_any_more_is_not_approved(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out of the group since: the next click cancels the request, and the thread says why."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    askers = slack.world.add_group("askers", ["alice", "mallory"])
    bot = await start_bot(PAY_ALLOWED_USERS=askers.id, PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    slack.world.change_group("askers", ["mallory"])
    assert (await approve(slack, asked, "bob")).ok
    assert "Cancelled" in await told(slack, "bob")
    await at_rest(bot)
    assert thread(slack) == ["#1: Cancelled: the requester may not ask for this any more\nNothing was paid."]
    assert billing.payments_received("vps", 10101) == 0


async def test_an_approver_removed_since_counts_no_more(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob approved and left the group: Carol's approval is the first of two, not the second."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    bot = await start_bot(PAY_APPROVERS=ids.FINANCE_GROUP, PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    await approve(slack, asked, "bob")
    slack.world.change_group("finance", ["carol", "mallory"])
    await approve(slack, asked, "carol")
    await at_rest(bot)
    assert "Approved so far by <@U0CAROL001>" in shown(card(slack))
    assert billing.payments_received("vps", 10101) == 0
    await approve(slack, asked, "mallory")
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1
