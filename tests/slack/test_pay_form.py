"""The form to ask for a payment: it opens at once, fills in, keeps what was typed, and asks only once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.domain.payment import State
from bot.ledger.store import utc_now
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.views import View
from bot.slack.pay_form import SHORTCUT
from bot.slack.pay_form_view import CHANNEL, MODULES, NOTE, NUMBERS
from tests.fixture_types import StartBot
from tests.ledger.making import stored, trail
from tests.slack.acting import at_rest, card, costs_by_now, request, shown, text, thread, told
from tests.slack.filling import (
    READING,
    choose_module,
    in_channel,
    menu,
    numbers,
    numbers_of_all,
    opened,
    options,
    picked,
)


async def test_the_form_asks_for_what_was_picked(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Module and invoice are picked, the note stands on the card, and it is paid like any other request."""
    bot = await start_bot()
    await slack.person("alice").types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    assert numbers(view) == ["vps 10103", "vps 10102", "vps 10101", "vps 10104"]
    assert "120.00 USD" in options(view)[0]
    assert "(overdue)" in options(view)[0]
    entered = picked(view, "vps 10101") | text(NOTE, "the <new> one &\nurgent")
    result = await slack.person("alice").submits(view, entered)
    assert result.ok
    assert slack.views("alice") == []
    await at_rest(bot)
    assert "&gt; the" not in shown(card(slack))
    assert "> the &lt;new&gt; one &amp; urgent" in shown(card(slack))
    assert billing.payments_made("vps", 10101) == 1


async def test_it_opens_at_once_and_fills_in_when_the_billing_api_is_slow(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The form is there before the API has answered; what was typed by then is kept when it has."""
    await start_bot(BILLING_TIMEOUT="20")
    billing.fail("slow", times=1, operation="api_domains_get_client_unpaid_invoices")
    result = await slack.person("alice").types("#payments", "/pay")
    assert result.ok
    assert result.seconds < 1.5
    (view,) = slack.views("alice")
    assert "Reading the unpaid invoices of domains" in shown(view)
    refused = await slack.person("alice").submits(view, text(NUMBERS, "x") | text(NOTE, "soon"))
    assert list(refused.errors) == [NUMBERS]
    assert READING in shown(slack.views("alice")[0])
    view = await opened(slack)
    assert numbers(view) == ["domains 10002", "domains 10001"]
    assert view.values[NOTE][NOTE]["value"] == "soon"
    assert view.values[NUMBERS][NUMBERS]["value"] == "x"


async def test_a_number_can_be_typed_where_invoices_cannot_be_read(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The form says so, and asks for the number; the payment request works all the same."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    billing.fail("unreadable")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    assert "cannot be read now. Type their numbers." in shown(view)
    assert (await slack.person("alice").submits(view, text(NUMBERS, "#10101"))).ok
    await at_rest(bot)
    assert "#1 · domains invoice 10101 · amount unknown" in shown(card(slack))


async def test_the_next_form_begins_with_the_module_asked_for_last(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Alice asked for a vps invoice, so vps is what the form reads."""
    bot = await start_bot()
    await request(slack, bot, "vps 10101")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    assert numbers(view) == ["vps 10103", "vps 10102", "vps 10104"]


async def test_an_invoice_under_way_is_not_offered(slack: LocalSlack, start_bot: StartBot) -> None:
    """It is unpaid still, and requested already; the form says that there is one such."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot, "vps 10101")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    assert "10101" not in " ".join(options(view))
    assert "1 more is requested already." in shown(view)


WRONG: tuple[tuple[str, str], ...] = (
    ("12a", '"12a" is not an invoice number.'),
    ("0", "begins with a zero"),
    ("101 02", "begins with a zero"),
    ("mine", '"mine" is not an invoice number.'),
    ("all", "Say which invoices of vps"),
    ("10,101", "may be one number or several"),
    ("10102\u200b3", "Something invisible is inside a number. Type it anew."),
    ("mail", "Which invoice of mail?"),
    ("10101", "It was already paid: #1 · vps invoice 10101. Paid."),
    (" ".join(str(number) for number in range(1, 102)), "I take 100 at once"),
)


async def test_what_is_wrong_stands_under_its_input(slack: LocalSlack, start_bot: StartBot) -> None:
    """And the form stays, so that it can be put right."""
    bot = await start_bot()
    await request(slack, bot, "vps 10101")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    nothing = await slack.person("alice").submits(view, {})
    assert nothing.errors == {menu(view)["block_id"]: "Which invoices? Pick them, or type their numbers."}
    for typed, why in WRONG:
        result = await slack.person("alice").submits(view, text(NUMBERS, typed))
        assert list(result.errors) == [NUMBERS]
        assert why in result.errors[NUMBERS]
    assert len(slack.views("alice")) == 1
    assert len(await bot.ledger.recent()) == 1


async def test_picking_and_typing_the_same_is_no_mistake(slack: LocalSlack, start_bot: StartBot) -> None:
    """Whoever does both with one number means it."""
    bot = await start_bot()
    await request(slack, bot, "vps 10101")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    both = picked(view, "vps 10102") | text(NUMBERS, "#10102")
    assert (await slack.person("alice").submits(view, both)).ok
    await at_rest(bot)
    assert "Paid" in thread(slack)[-1]
    assert [one.first.ref.number for one in await bot.ledger.recent()] == [10102, 10101]


async def test_a_form_that_slack_delivers_twice_asks_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """The view's id is the request's trigger."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    slack.duplicate_next(1)
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101"))).ok
    await at_rest(bot)
    assert len(await bot.ledger.recent()) == 1
    assert [one["action"] for one in await actions(bot, 1)] == ["requested", "looked_up"]


async def actions(bot: Any, payment_id: int) -> list[dict[str, Any]]:
    return [{"action": one.action} for one in await bot.ledger.history(payment_id)]


async def test_the_shortcut_asks_in_the_channel_that_is_picked(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A shortcut knows no channel: the form has a picker, which begins with one that the rules allow."""
    bot = await start_bot(PAY_ALLOWED_CHANNELS=f"{ids.PAYMENTS},{ids.SHARED}")
    assert (await slack.person("alice").uses_shortcut(SHORTCUT)).ok
    view = await opened(slack)
    (picker,) = [block["element"] for block in view.blocks if block["block_id"] == CHANNEL]
    assert picker["initial_conversation"] == min(ids.PAYMENTS, ids.SHARED)
    here = {"type": "conversations_select", "selected_conversation": ids.PAYMENTS}
    view = await choose_module(slack, view, "vps")
    entered = picked(view, "vps 10101") | {CHANNEL: {CHANNEL: here}}
    assert (await slack.person("alice").submits(view, entered)).ok
    await at_rest(bot)
    assert "Paid" in thread(slack)[-1]


async def test_a_channel_that_is_not_allowed_is_refused_under_its_picker(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """The rules decide about the picked channel as about one where the command is typed."""
    bot = await start_bot(PAY_ALLOWED_CHANNELS=ids.PAYMENTS)
    await slack.person("alice").uses_shortcut(SHORTCUT)
    view = await choose_module(slack, await opened(slack), "vps")
    there = {"type": "conversations_select", "selected_conversation": ids.RANDOM}
    entered = picked(view, "vps 10101") | {CHANNEL: {CHANNEL: there}}
    result = await slack.person("alice").submits(view, entered)
    assert "in this channel" in result.errors[CHANNEL]
    assert await bot.ledger.recent() == []


TWO_RULES = f"""
[[rule]]
name = "free"
channels = ["{ids.APPROVALS}", "{ids.FINANCE_PRIVATE}"]
requesters = ["{ids.ALICE}", "{ids.BOB}"]

[[rule]]
name = "strict"
requesters = ["{ids.ALICE}"]
approvers = ["{ids.BOB}"]
approvals = 1
"""
"""Without approval where Alice is not; with one everywhere else."""


@pytest.fixture
async def two_rules(start_bot: StartBot, tmp_path: Path) -> app.Bot:
    policy = tmp_path / "policy.toml"
    policy.write_text(TWO_RULES, encoding="utf-8")
    return await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")


@pytest.mark.parametrize("channel", [ids.APPROVALS, ids.FINANCE_PRIVATE])
async def test_nobody_gets_the_rule_of_a_channel_that_they_are_not_in(
    slack: LocalSlack, two_rules: app.Bot, channel: str
) -> None:
    """Naming it in the form is not being in it. In a private one without the bot nobody can be seen."""
    await slack.person("alice").uses_shortcut(SHORTCUT)
    view = await choose_module(slack, await opened(slack), "vps")
    result = await slack.person("alice").submits(view, picked(view, "vps 10101") | in_channel(channel))
    assert "You are not in that channel" in result.errors[CHANNEL]
    assert await two_rules.ledger.recent() == []
    events = await trail(two_rules.ledger)
    assert [stored(event)["reason"] for event in events] == ["not_in_the_channel"]
    again = slack.views("alice")[0]
    assert (await slack.person("alice").submits(again, in_channel(ids.PAYMENTS))).ok
    await at_rest(two_rules)
    assert "Waiting for approval" in shown(card(slack))


async def test_who_is_in_the_channel_gets_its_rule(
    slack: LocalSlack, billing: LocalBilling, two_rules: app.Bot
) -> None:
    """Bob is in it, so his request is paid at once, there."""
    await slack.person("bob").uses_shortcut(SHORTCUT)
    view = await opened(slack, "bob")
    entered = in_channel(ids.APPROVALS) | text(NUMBERS, "10001")
    assert (await slack.person("bob").submits(view, entered)).ok
    await at_rest(two_rules)
    assert "Paid" in thread(slack, "#approvals")[-1]


@pytest.mark.parametrize("mode", ["timeout", "500", "429", "error:missing_scope"])
async def test_a_picked_channel_is_refused_where_slack_does_not_say_who_is_in_it(
    slack: LocalSlack, two_rules: app.Bot, mode: str
) -> None:
    """In time, under its input, with all that was entered still there to be sent again."""
    await slack.person("alice").uses_shortcut(SHORTCUT)
    view = await choose_module(slack, await opened(slack), "vps")
    slack.fail("users.conversations", mode)
    result = await slack.person("alice").submits(view, picked(view, "vps 10101") | in_channel(ids.APPROVALS))
    assert "Slack did not say in time" in str(result.errors)
    assert result.seconds < 2.5
    assert await two_rules.ledger.recent() == []


async def test_where_the_command_was_typed_slack_need_not_be_asked(
    slack: LocalSlack, two_rules: app.Bot
) -> None:
    """Slack itself says that it came from there: also for the form that it opened."""
    slack.fail("users.conversations", "500")
    assert (await slack.person("alice").types("#payments", "/pay vps 10102")).ok
    await slack.person("alice").types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    assert (await slack.person("alice").submits(view, picked(view, "vps 10101"))).ok
    await at_rest(two_rules)
    assert len(await two_rules.ledger.recent()) == 2


@pytest.mark.parametrize("left", [True, False])
async def test_a_form_that_stays_open_is_no_way_back_into_a_channel(
    slack: LocalSlack, two_rules: app.Bot, monkeypatch: pytest.MonkeyPatch, left: bool
) -> None:
    """Whoever leaves it, or is taken out, gets its rule no more; who is still in it does."""
    await slack.person("bob").types("#approvals", "/pay")
    view = await opened(slack, "bob")
    if left:
        slack.world.leave("approvals", "bob")
    monkeypatch.setattr(two_rules.ledger, "_clock", lambda: utc_now() + timedelta(minutes=11))
    result = await slack.person("bob").submits(view, text(NUMBERS, "10001"))
    await at_rest(two_rules)
    assert (len(await two_rules.ledger.recent()), "You are not in that channel" in str(result.errors)) == (
        (0, True) if left else (1, False)
    )


async def test_the_form_opens_for_nobody_who_may_not_ask(slack: LocalSlack, start_bot: StartBot) -> None:
    """The command is refused with an ephemeral word, the shortcut with a form that says why."""
    bot = await start_bot()
    await slack.person("mallory").types("#payments", "/pay")
    assert "You are not among those who may request payments." in await told(slack, "mallory")
    assert slack.views("mallory") == []
    await slack.person("bob").uses_shortcut(SHORTCUT)
    assert "You are not among those who may request payments." in shown(slack.views("bob")[0])
    assert [block["type"] for block in slack.views("bob")[0].blocks] == ["section"]
    assert (await bot.ledger.verify()).events == 2


async def test_the_form_offers_only_the_modules_that_the_rules_allow(
    slack: LocalSlack, start_bot: StartBot, tmp_path: Any
) -> None:
    """And what a rule forbids is refused all the same, should it be submitted."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[[rule]]\nname = "a"\nmodules = ["vps", "mail"]\nrequesters = ["{ids.ALICE}"]\n', encoding="utf-8"
    )
    await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    (module,) = [block["element"] for block in view.blocks if block["block_id"] == MODULES]
    assert [option["value"] for option in module["options"]] == ["vps", "mail"]


async def test_an_answer_under_the_input_when_slack_does_not_say_who_is_who(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form stays with all that was entered, to be sent again; it is answered in time."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    askers = slack.world.add_group("askers", ["alice"])
    bot = await start_bot(PAY_ALLOWED_USERS=askers.id)
    await slack.person("alice").types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    slack.fail("usergroups.users.list", "timeout", 1)
    result = await slack.person("alice").submits(view, picked(view, "vps 10101"))
    assert "Slack did not say in time" in result.errors[MODULES]
    assert result.seconds < 2.5
    slack.heal()
    assert (await slack.person("alice").submits(slack.views("alice")[0], {})).ok
    await at_rest(bot)
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.PAID


async def test_who_may_not_ask_any_more_reads_nothing_new_in_a_form_that_is_open(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out of the group since: no other modules, and no amount that changed."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    askers = slack.world.add_group("askers", ["alice", "mallory"])
    bot = await start_bot(PAY_ALLOWED_USERS=askers.id)
    alice = slack.person("alice")
    await alice.types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    slack.world.change_group("askers", ["mallory"])
    costs_by_now(bot, billing, 9000.0)
    result = await alice.submits(view, picked(view, "vps 10101"))
    assert "You are not among those who may" in result.errors[MODULES]
    assert "9,000.00" not in shown(slack.views("alice")[0])
    assert (await alice.clicks(slack.views("alice")[0], MODULES, ["mail"])).ok
    (view,) = await slack.wait_for(lambda: [one for one in slack.views("alice") if "not among" in shown(one)])
    assert "USD" not in shown(view)


async def test_while_slack_is_silent_an_open_form_reads_nothing_new(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was entered stays, for the next click."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    askers = slack.world.add_group("askers", ["alice"])
    bot = await start_bot(PAY_ALLOWED_USERS=askers.id)
    alice = slack.person("alice")
    await alice.types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    slack.fail("usergroups.users.list", "error:internal_error")
    assert (await alice.clicks(view, MODULES, ["mail"])).ok
    assert await bot.services.gate.emptied(5)
    slack.heal()
    assert numbers(slack.views("alice")[0]) == numbers(view)
    assert numbers(await choose_module(slack, view, "mail")) == ["mail 10301"]


async def test_a_form_that_does_not_open_is_told(slack: LocalSlack, start_bot: StartBot) -> None:
    """Slack refused the trigger: the person is told the other way to ask."""
    await start_bot()
    slack.fail("views.open", "error:expired_trigger_id")
    assert (await slack.person("alice").types("#payments", "/pay")).ok
    assert "The form did not open" in await told(slack, "alice")


async def reading(slack: LocalSlack, billing: LocalBilling, start_bot: StartBot) -> View:
    """The form while the first module is being read, which lasts until the billing API heals."""
    await start_bot(BILLING_TIMEOUT="20")
    billing.fail("stall", operation="api_domains_get_client_unpaid_invoices")
    await slack.person("alice").types("#payments", "/pay")
    (view,) = slack.views("alice")
    assert "Reading the unpaid invoices of domains" in shown(view)
    return view


async def test_a_late_reading_does_not_replace_another_module(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """What was read for the first module comes after the second was picked: it is dropped."""
    await choose_module(slack, await reading(slack, billing, start_bot), "vps")
    billing.heal()
    await slack.wait_for(lambda: [c.error for c in slack.calls if c.method == "views.update"][-1:] != [None])
    assert numbers_of_all(slack.views("alice")[0]) == {"vps"}


async def test_a_module_picked_while_the_first_is_being_read_is_not_lost(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """What was read for the first module changes the form just before the pick does: the pick wins."""
    view = await reading(slack, billing, start_bot)
    late = slack.fail("views.update", "slow", times=1)
    assert (await slack.person("alice").clicks(view, MODULES, ["vps"])).ok
    await slack.wait_for(lambda: late.hits == 1)
    billing.heal()
    await slack.wait_for(lambda: READING not in shown(slack.views("alice")[0]))
    await slack.wait_for(lambda: numbers_of_all(slack.views("alice")[0]) == {"vps"})
