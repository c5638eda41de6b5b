"""Several invoices by one command: what is shown before, and what one button asks for."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.domain.payment import Invoice, InvoiceRef, State
from bot.domain.policy import Rule
from bot.domain.schedule import PayOn
from bot.payments.answers import Done
from bot.payments.authority import Person
from bot.payments.proposals import Group, LeftOut, Line, Proposal, Proposals
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.messages import Message
from bot.slack.preview import CONFIRM, preview
from tests.fixture_types import StartBot
from tests.slack.acting import (
    approve,
    asks,
    at_rest,
    card,
    costs_by_now,
    forget_readings,
    pay,
    shown,
    thread,
)

POLICY = """
[[rule]]
name = "small"
requesters = ["alice"]
modules = ["vps"]

[[rule]]
name = "other"
requesters = ["alice"]
approvers = ["bob"]
approvals = [{ required = 1 }]
"""

LETS_GO = """
[[rule]]
name = "at once"
requesters = ["{alice}"]

[[rule]]
name = "approved"
requesters = ["{bob}"]
approvers = ["{alice}"]
approvals = [{{ required = 1 }}]
"""

LIMITED = """
[[rule]]
name = "limited"
requesters = ["alice"]
limit_per_rule_per_day = 50000
"""


async def confirm(slack: LocalSlack, by: str = "alice") -> str:
    """Press the button of the newest preview, and return what stands in its place."""
    preview = slack.ephemerals(by)[-1]
    result = await slack.person(by).clicks(preview, CONFIRM)
    assert result.ok, result
    await slack.wait_for(lambda: CONFIRM not in str(newest(slack, by).blocks))
    return newest(slack, by).text


def newest(slack: LocalSlack, by: str = "alice") -> Message:
    return slack.ephemerals(by)[-1]


def label(slack: LocalSlack) -> str:
    (row,) = [block for block in newest(slack).blocks if block["type"] == "actions"]
    return str(row["elements"][0]["text"]["text"])


async def test_what_would_be_asked_for_is_shown_first_and_requested_by_one_button(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The lines, the total, and what is left out and why; then one card, one thread, a payment each."""
    bot = await start_bot()
    await pay(slack, "vps 10103")
    await at_rest(bot)
    told = await asks(slack, "vps 10101 10102, 10103 mail 10301 999 note: month end")
    assert told.startswith("*3 payments · 60.99 USD*\n> month end")
    assert "`vps 10101` · *10.00 USD* · due" in told
    assert "`vps 10103` (#1): it was paid already" in told
    assert "`mail 999`: it is not in the list of unpaid invoices" in told
    assert label(slack) == "Request 3 payments · 60.99 USD"
    assert (await bot.ledger.of_request(2)) is None
    assert await confirm(slack) == "Requested: #2 · 3 payments. Its card follows."
    await at_rest(bot)
    batch = await bot.ledger.of_request(2)
    assert batch is not None
    assert [one.state for one in batch.payments] == [State.PAID] * 3
    assert batch.request.note == "month end"
    assert [billing.payments_made(one.ref.module, one.ref.number) for one in batch.payments] == [1] * 3
    assert "*#2 · 3 payments · 60.99 USD*" in shown(card(slack))
    assert "3 of 3 paid" in shown(card(slack))
    said = "\n".join(thread(slack))
    for number in (10101, 10102, 10301):
        assert f"for Invoice {number} Successful." in said
    assert "#2 is done: 3 payments · 60.99 USD" in said
    assert (await bot.ledger.verify()).whole


async def test_what_is_overdue_or_due_soon_is_looked_up_by_the_words(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """In one module or in all."""
    await start_bot()
    assert (await asks(slack, "vps overdue")).startswith("*1 payment · 120.00 USD*")
    assert (await asks(slack, "vps due 7d")).startswith("*2 payments · 169.99 USD*")
    assert (await asks(slack, "all overdue")).startswith("*5 payments · 1,379.50 USD · 17.50 EUR*")
    assert await asks(slack, "ssl overdue") == "There is nothing to ask for."


async def test_pressed_twice_at_once_it_is_one_request(slack: LocalSlack, start_bot: StartBot) -> None:
    """And pressed later, on a message that was kept."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await asks(slack, "vps 10101 10102")
    preview = newest(slack)
    await asyncio.gather(*(slack.person("alice").clicks(preview, CONFIRM) for _ in range(3)))
    await at_rest(bot)
    assert await bot.ledger.of_request(2) is None
    assert [one.request.size for one in await bot.ledger.pending()] == [2]


async def test_what_falls_under_two_rules_is_two_requests(
    slack: LocalSlack, start_bot: StartBot, tmp_path: Path
) -> None:
    """Said in the preview, and each decided on by itself."""
    text = POLICY.replace("alice", ids.ALICE).replace("bob", ids.BOB)
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    bot = await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    told = await asks(slack, "vps 10101 10102 mail 10301")
    assert "*Request 1 of 2: 2 payments · 59.99 USD* · no approval needed" in told
    assert "*Request 2 of 2: 1 payment · 1.00 USD* · needs 1 approval" in told
    assert label(slack) == "Request 3 payments · 60.99 USD"
    assert (await confirm(slack)).count("Requested: ") == 2
    await at_rest(bot)
    first, second = await bot.ledger.of_request(1), await bot.ledger.of_request(2)
    assert first is not None
    assert second is not None
    assert {one.state for one in first.payments} == {State.PAID}
    assert [one.state for one in second.payments] == [State.PENDING_APPROVAL]


async def test_one_approval_pays_them_all(slack: LocalSlack, start_bot: StartBot) -> None:
    """The question says how many and how much."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await asks(slack, "vps overdue note: x")
    await asks(slack, "vps 10101 10102")
    await confirm(slack)
    await at_rest(bot)
    assert "Pay 59.99 USD for 2 invoices?" in str(card(slack).blocks)
    await approve(slack, card(slack), "bob")
    await at_rest(bot)
    assert "2 of 2 paid" in shown(card(slack))


async def test_who_may_not_is_refused(slack: LocalSlack, start_bot: StartBot) -> None:
    """With no list of what is unpaid, and on record."""
    bot = await start_bot()
    told = await asks(slack, "vps overdue", by="mallory")
    assert told.startswith("You are not among those who may request payments.")
    assert not await bot.ledger.recent()


async def test_what_was_requested_meanwhile_is_left_out_at_the_click(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """The preview may be old; nothing is asked for twice."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await asks(slack, "vps 10101 10102")
    await slack.person("alice").types("#payments", "/pay vps 10101")
    await at_rest(bot)
    assert "`vps 10101` was requested already: #1." in await confirm(slack)


async def test_amounts_that_changed_since_are_shown_before_anything_is_asked_for(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The button asks for what it shows; the one in its place asks for the new amounts, with note and day."""
    bot = await start_bot()
    await asks(slack, "vps 10101 mail 10301 vps 10102 note: month end")
    costs_by_now(bot, billing, 9000.0)
    old = newest(slack)
    await slack.person("alice").clicks(old, CONFIRM)
    await slack.wait_for(lambda: "9,050.99 USD" in newest(slack).text)
    assert newest(slack).text.startswith("Something changed since you looked")
    assert "> month end" in newest(slack).text
    assert label(slack) == "Request 3 payments · 9,050.99 USD"
    assert not await bot.ledger.recent()
    await slack.person("alice").clicks(old, CONFIRM)
    await at_rest(bot)
    assert not await bot.ledger.recent()
    assert (await confirm(slack)).startswith("Requested: ")
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert [one.state for one in batch.payments] == [State.PAID] * 3
    assert batch.request.note == "month end"


async def test_what_is_let_go_of_at_the_click_is_not_paid_at_an_amount_that_nobody_saw(
    slack: LocalSlack,
    billing: LocalBilling,
    start_bot: StartBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others held all of it when it was read, so no new preview was shown; and then they took it back."""
    people = {"alice": ids.ALICE, "bob": ids.BOB}
    policy = tmp_path / "policy.toml"
    policy.write_text(LETS_GO.format(**people))
    bot = await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    bob = Person(ids.BOB, bot.services.workspace.team)
    await asks(slack, "vps 10101 10102")
    refs = [InvoiceRef("vps", number) for number in (10101, 10102)]
    await bot.services.desk.request(bob, ids.PAYMENTS, refs, trigger_id="1.1", typed_there=True)
    await at_rest(bot)
    costs_by_now(bot, billing, 9000.0)
    read = Proposals.of_refs

    async def then_let_go(*given: Any, **named: Any) -> Any:
        found = await read(*given, **named)
        assert isinstance(await bot.services.desk.withdraw(bob, 1), Done)
        return found

    monkeypatch.setattr(Proposals, "of_refs", then_let_go)
    await slack.person("alice").clicks(newest(slack), CONFIRM)
    await at_rest(bot)
    assert [one.state for one in (await bot.ledger.recent())[0].payments] == [State.CANCELLED] * 2
    assert "it was asked for at another price and costs 9,000.00 USD now" in "\n".join(thread(slack))


async def test_amounts_that_cannot_be_read_since_are_not_asked_for_unseen(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Nobody has to approve, and a moment later they may be read, and be others: it is said why not."""
    bot = await start_bot()
    await asks(slack, "vps 10101 10102")
    for number in (10101, 10102):
        row = billing.row("vps", number)
        assert row is not None
        row["invoices_currency"] = ""
    forget_readings(bot)
    said = await confirm(slack)
    assert "There is nothing to ask for." in said
    assert "its amount cannot be read" in shown(newest(slack))
    assert await bot.ledger.recent() == []


async def test_an_amount_that_cannot_be_read_among_others_is_not_called_away(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """It is left out for what it is; and beside what is due, nobody is to believe that this is all."""
    await start_bot()
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_currency"] = ""
    told = await asks(slack, "vps 10101 10102 999")
    assert "`vps 10101`: its amount cannot be read" in told
    assert "`vps 999`: it is not in the list of unpaid invoices" in told
    told = await asks(slack, "vps overdue")
    assert told.startswith("*1 payment · 120.00 USD*")
    assert "Unpaid as well, with an amount that cannot be read: `vps 10101`." in told


async def test_where_no_amount_can_be_read_what_is_listed_can_be_asked_for(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """What is not listed cannot."""
    await start_bot()
    for number in (10101, 10102, 10103, 10104):
        row = billing.row("vps", number)
        assert row is not None
        row["invoices_currency"] = ""
    told = await asks(slack, "vps 10101 10102 999")
    assert told.startswith("*2 payments · 2 of unknown amount*")
    assert "`vps 999`: it is not in the list of unpaid invoices" in told


async def test_where_nothing_can_be_read_what_was_typed_can_be_asked_for(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """With amounts that are not known."""
    bot = await start_bot()
    billing.fail("unreadable")
    told = await asks(slack, "vps 10101 10102")
    assert told.startswith("*2 payments · 2 of unknown amount*")
    await confirm(slack)
    await at_rest(bot)
    batch = await bot.ledger.of_request(1)
    assert batch is not None
    assert [one.state for one in batch.payments] == [State.PAID] * 2


async def test_a_preview_that_leaves_out_much_is_shown(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, tmp_path: Path
) -> None:
    """Each amount above a limit is a reason of its own; Slack takes so much text and no more."""
    policy = tmp_path / "policy.toml"
    policy.write_text(LIMITED.replace("alice", ids.ALICE))
    await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    for number in range(100):
        amount = (10 if number < 40 else 123_456) + number + 0.25
        ref = "quickservers", 2_000_000_000 + number
        billing.add_invoice(*ref, description="x" * 100, amount=amount, due_in_days=-500)
    told = await asks(slack, f"quickservers overdue note: {'n' * 490}")
    assert told.startswith("*40 payments · 1,190.00 USD*")
    assert "… and 28 more." in told
    assert "*Left out:*\n`quickservers 2000000040`: 123,496.25 USD is above" in told
    assert label(slack) == "Request 40 payments · 1,190.00 USD"


@pytest.mark.parametrize(("day", "at_once"), [(1, True), (2, False)])
def test_what_is_asked_for_today_may_be_sent_at_once(day: int, at_once: bool) -> None:
    """The button pays it where the morning is over."""
    lines = (Line(InvoiceRef("vps", 1), None),)
    found = Proposal((Group(Rule("any", frozenset({"U1"})), lines),), ())
    said = preview(found, None, "1.2.x", date(2026, 3, 1), PayOn(date(2026, 3, day))).text
    assert f"To be sent on the morning of {day} Mar 2026" in said
    assert ("or at once where that is over" in said) is at_once


@pytest.mark.parametrize("lines", [0, 1, 50, 100])
@pytest.mark.parametrize("unread", [0, 100])
def test_a_preview_keeps_block_kits_limits(lines: int, unread: int) -> None:
    """Whatever is in it, and whatever is left out and why."""
    refs = [InvoiceRef("m" * 64, 2**31 - 1 - number) for number in range(200)]
    due = date(2026, 3, 1)
    listed = [Line(ref, Invoice(ref, "&" * 99, Decimal("0.000001"), "USD", due)) for ref in refs[:lines]]
    left_out = tuple(LeftOut(ref, f"&{ref.number} {'because ' * 15}") for ref in refs[lines:100])
    groups = (Group(Rule("r", frozenset({"U1"})), tuple(listed)),) if listed else ()
    modules = tuple(f"{number:064}" for number in range(unread))
    shown_first = preview(Proposal(groups, left_out, modules, 20_000), "&" * 500, "1.2.x", due, PayOn())
    checked_blocks(shown_first.blocks)
