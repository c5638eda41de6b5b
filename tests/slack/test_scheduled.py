"""Paid on a day, as people see it: the form, the command, the card, its thread, the list and the Home tab."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from bot import app
from bot.domain.batch import Batch
from bot.domain.payment import Invoice, InvoiceRef, State
from bot.domain.schedule import PayOn
from bot.ledger.store import utc_now
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.forms import Values
from bot.slack.card import WITHDRAW, request_card, what_follows
from bot.slack.pay_form_view import NUMBERS
from bot.slack.preview import CONFIRM
from bot.slack.schedule_text import DAY, WHEN, sent_on
from bot.slack.text import day, standing_of
from tests.fixture_types import StartBot
from tests.slack.acting import approve, asks, at_rest, card, request, shown, states_of, text, thread, withdraw
from tests.slack.filling import opened
from tests.slack.scenes import payment_in, scene_of
from tests.slack.test_preview import confirm


def due_date(billing: LocalBilling, number: int, in_days: int) -> date:
    row = billing.row("vps", number)
    assert row is not None
    due = utc_now().date() + timedelta(days=in_days)
    row["invoices_due_date"] = due.isoformat()
    return due


def later(bot: app.Bot, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """So many days pass by the ledger's clock, and the morning with them."""
    moment = datetime.combine(utc_now().date(), datetime.min.time(), UTC) + timedelta(days=days, hours=9)
    ahead = moment - utc_now()
    monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() + ahead)


async def test_it_is_approved_now_and_sent_when_it_is_due(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card says the day to who decides, then that it waits; the thread says it at the approval."""
    due = day(due_date(billing, 10101, 20))
    bot = await start_bot(PAY_APPROVERS=ids.BOB, PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot, "vps 10101 on due date")
    assert f"*To be sent on the morning of {due}*" in shown(asked)
    assert f"It is paid on the morning of {due}. Until it is sent the request can be withdrawn." in str(
        asked.blocks
    )
    assert (await approve(slack, asked, "bob")).ok
    await at_rest(bot)
    assert f":calendar: *Approved, to be sent on {due}*" in shown(card(slack))
    assert WITHDRAW in str(card(slack).blocks)
    assert f"It is sent on the morning of {due}; until then" in thread(slack)[-1]
    assert billing.payments_made("vps", 10101) == 0
    told = await asks(slack, "scheduled")
    assert told.startswith("*Scheduled: 1 · 10.00 USD*")
    assert f"Approved, to be sent on {due}" in told
    assert "to be sent each on the morning of its due date" in await asks(slack, "status 1")
    later(bot, monkeypatch, 20)
    await slack.wait_for(lambda: billing.payments_made("vps", 10101))
    await at_rest(bot)
    assert await states_of(bot) == [State.PAID]
    assert WITHDRAW not in str(card(slack).blocks)
    assert await asks(slack, "scheduled") == "Nothing waits for its day."


async def test_who_asked_takes_it_back_until_then(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Also where nobody had to approve."""
    due_date(billing, 10101, 20)
    bot = await start_bot()
    asked = await request(slack, bot, "vps 10101 on due date")
    assert await states_of(bot) == [State.APPROVED]
    assert (await withdraw(slack, asked, "alice")).ok
    await at_rest(bot)
    assert "Withdrawn; nothing was paid" in shown(card(slack))


async def test_several_are_shown_with_their_day_first(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """And the one that is due by now is paid at once."""
    first, last = due_date(billing, 10101, 5), due_date(billing, 10102, 9)
    due_date(billing, 10103, -1)
    bot = await start_bot()
    told = await asks(slack, "vps 10101 10102 10103 on due date")
    assert "*To be sent each on the morning of its due date, or at once where that is over*" in told
    await confirm(slack)
    await at_rest(bot)
    assert await states_of(bot) == [State.APPROVED, State.APPROVED, State.PAID]
    said = shown(card(slack))
    assert "1 of 3 paid, 2 scheduled" in said
    assert f"to be sent on {day(first)}" in said
    assert f"to be sent on {day(last)}" in said
    assert (await withdraw(slack, card(slack), "alice")).ok
    await at_rest(bot)
    assert "What was not sent is not paid." in thread(slack)[-2] + thread(slack)[-1]
    assert await states_of(bot) == [State.CANCELLED, State.CANCELLED, State.PAID]


async def test_what_has_no_due_date_is_left_out_of_what_is_paid_on_it(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The preview says so, in place of a card that cancels it."""
    due_date(billing, 10101, 5)
    row = billing.row("vps", 10102)
    assert row is not None
    row["invoices_due_date"] = ""
    await start_bot()
    told = await asks(slack, "vps 10101 10102 on due date")
    assert told.startswith("*1 payment · 10.00 USD*")
    assert "`vps 10102`: it has no due date; name a day, or none to pay at once" in told


@pytest.mark.parametrize("command", ["vps 10101 on 2020-01-01", "vps 10101 10102 on 2020-01-01"])
async def test_a_day_that_is_over_is_refused_at_once(
    slack: LocalSlack, start_bot: StartBot, command: str
) -> None:
    bot = await start_bot()
    told = await asks(slack, command)
    assert told.startswith("That day is over.")
    assert CONFIRM not in str(slack.ephemerals("alice")[-1].blocks)
    assert await bot.ledger.recent() == []


def picked(when: str, day: date | None = None) -> Values:
    """What was picked in the form."""
    entered: Values = {WHEN: {WHEN: {"type": "radio_buttons", "selected_option": {"value": when}}}}
    return entered | {DAY: {DAY: {"type": "datepicker", "selected_date": str(day) if day else None}}}


async def test_the_form_asks_when(slack: LocalSlack, billing: LocalBilling, start_bot: StartBot) -> None:
    """What contradicts itself is asked about, and a day that is over is refused under it."""
    bot = await start_bot()
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    number = text(NUMBERS, "vps 10101")
    meant = utc_now().date() + timedelta(days=30)
    for entered, why in (
        (picked("on"), "Pick the day on which it is sent."),
        (picked("now", meant), "Pick “On a day” there, or clear the day."),
        (picked("due", meant), "Above, “Each on its due date” is picked."),
        (picked("on", date(2020, 1, 1)), "That day is over."),
    ):
        result = await slack.person("alice").submits(view, number | entered)
        assert list(result.errors) == [DAY]
        assert why in result.errors[DAY]
    assert (await slack.person("alice").submits(view, number | picked("on", meant))).ok
    await at_rest(bot)
    assert f"Approved, to be sent on {day(meant)}" in shown(card(slack))
    batch = await bot.ledger.of_request(1)
    assert batch is not None
    assert batch.request.pay_on == PayOn(meant)
    assert billing.payments_made("vps", 10101) == 0


async def test_the_home_tab_shows_what_is_scheduled(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Whoever may see it, as long as there is any."""
    due = due_date(billing, 10101, 20)
    bot = await start_bot(PAY_APPROVERS=ids.BOB, PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot, "vps 10101 on due date")
    await slack.person("bob").opens_home()
    await slack.wait_for(lambda: slack.home("bob"))
    assert "Scheduled" not in str(slack.home("bob"))
    await approve(slack, card(slack), "bob")
    await slack.wait_for(lambda: "Scheduled: 1 · 10.00 USD" in str(slack.home("bob")))
    assert f"Approved, to be sent on {day(due)}" in str(slack.home("bob"))


def batch_of(*days: date | None, state: State = State.PENDING_APPROVAL) -> Batch:
    """Lines that are due on these days; None: at once."""
    lines = []
    for line, due in enumerate(days, start=1):
        ref = InvoiceRef("vps", line)
        known = payment_in(state).invoice
        assert known is not None
        invoice = Invoice(ref, "x", known.amount, "USD", due)
        at = datetime(due.year, due.month, due.day, 8, tzinfo=UTC) if due else None
        one = payment_in(
            state, line=line, ref=ref, invoice=invoice, not_before=at, pay_on=PayOn(), size=len(days), tries=0
        )
        lines.append(one)
    return Batch(tuple(lines))


@pytest.mark.parametrize("state", [State.APPROVED, State.NOT_SENT])
def test_who_asked_takes_it_back_until_it_is_sent_also_after_a_try_that_sent_nothing(state: State) -> None:
    """That its morning came, and the billing API did not let it be sent, takes nothing from them."""
    at = datetime(2026, 3, 9, 8, tzinfo=UTC)
    tried = payment_in(state, not_before=at, pay_on=PayOn(), tries=1)
    assert WITHDRAW in str(request_card(scene_of(tried)).blocks)
    for other in (State.SENDING, State.UNKNOWN, State.PAID, State.CANCELLED):
        over = payment_in(other, not_before=at, pay_on=PayOn(), tries=1)
        assert WITHDRAW not in str(request_card(scene_of(over)).blocks)
    assert WITHDRAW not in str(request_card(scene_of(payment_in(state, tries=1))).blocks)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([None], None),
        ([date(2026, 3, 9)], "on the morning of 9 Mar 2026"),
        ([date(2026, 3, 9)] * 2, "on the morning of 9 Mar 2026"),
        (
            [date(2026, 3, 12), date(2026, 3, 9)],
            "each on the morning of its day, from 9 Mar 2026 to 12 Mar 2026",
        ),
        ([None, date(2026, 3, 9)], "1 at once, and the others on the morning of 9 Mar 2026"),
    ],
)
def test_days_in_words(days: list[date | None], words: str | None) -> None:
    assert sent_on(batch_of(*days).payments) == words


def test_who_approves_is_told_the_day_in_the_question() -> None:
    """At once only where that is so; who may come to it after that morning is told what follows then."""
    scene = scene_of(payment_in(State.PENDING_APPROVAL), approvers=["U2"])
    assert what_follows(batch_of(date(2026, 3, 9)), scene.approvals) == (
        "You are 2 of 2; it is paid on the morning of 9 Mar 2026. Until it is sent the request can be"
        " withdrawn."
    )
    assert what_follows(batch_of(date(2026, 3, 4)), scene.approvals) == (
        "You are 2 of 2; it is paid on the morning of 4 Mar 2026, or at once where that is over. Until it is"
        " sent the request can be withdrawn."
    )
    assert "at once and cannot be undone" in what_follows(batch_of(None), scene.approvals)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([date(2026, 3, 9)] * 2, "Approved, to be sent on 9 Mar 2026"),
        ([date(2026, 3, 9), date(2026, 3, 12)], "Approved, to be sent from 9 Mar 2026 to 12 Mar 2026"),
        ([None, date(2026, 3, 12)], "Approved, about to be sent"),
    ],
)
def test_several_that_wait_for_their_days(days: list[date | None], words: str) -> None:
    assert standing_of(batch_of(*days, state=State.APPROVED))[1] == words
