"""The form for several invoices: what is due is picked by one button, added up, and asked for at once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bot import app
from bot.domain.payment import InvoiceRef, State
from bot.errors import CommitLost, DirectoryError
from bot.payments.answers import AlreadyRequested
from bot.payments.authority import NOT_IN_CHANNEL
from bot.payments.proposals import Asked
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.pay_form import SHORTCUT
from bot.slack.pay_form_button import PAY_SEVERAL
from bot.slack.pay_form_view import DUE_SOON, INVOICES, MODULES, NUMBERS, OVERDUE
from bot.slack.preview import requested
from tests.fixture_types import QUICK, StartBot
from tests.slack.acting import at_rest, costs_by_now, request, shown, text
from tests.slack.filling import (
    choose_module,
    chosen,
    form,
    in_channel,
    menu,
    numbers,
    opened,
    picked,
    picks,
    says,
)
from tests.slack.scenes import payment_in

MONTH_END = [
    *(("vps", 20000 + number) for number in range(12)),
    *(("mail", 30000 + number) for number in range(10)),
    *(("servers", 40000 + number) for number in range(8)),
]
"""Thirty invoices over three modules, due from yesterday on."""

BY_MODULE = f"""
[[rule]]
name = "servers"
modules = ["servers"]
requesters = ["{ids.ALICE}", "{ids.BOB}"]
approvers = ["{ids.CAROL}"]
approvals = 1

[[rule]]
name = "small"
modules = ["vps", "mail"]
requesters = ["{ids.ALICE}", "{ids.BOB}"]
"""
"""Servers wait for an approval, and domains are for nobody."""


@pytest.fixture
async def by_module(start_bot: StartBot, tmp_path: Path) -> app.Bot:
    policy = tmp_path / "policy.toml"
    policy.write_text(BY_MODULE, encoding="utf-8")
    return await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")


@pytest.fixture
def month_end(billing: LocalBilling) -> None:
    """Nothing is unpaid but those thirty."""
    for module in ("vps", "mail", "servers"):
        for number in range(10100, 11000):
            row = billing.row(module, number)
            if row is not None:
                row["invoices_paid"] = 1
    for place, (module, number) in enumerate(MONTH_END):
        billing.add_invoice(module, number, amount=10.0 + place, due_in_days=place % 8 - 1)


async def requests(bot: app.Bot) -> list[tuple[str | None, list[str]]]:
    """The requests in the ledger, the oldest first: rule and invoices."""
    batches = reversed(await bot.ledger.recent())
    return [(one.request.rule, [str(each.ref) for each in one.payments]) for one in batches]


@pytest.mark.usefixtures("month_end")
async def test_a_month_end_takes_a_few_clicks(
    slack: LocalSlack, billing: LocalBilling, by_module: app.Bot
) -> None:
    """From the list over the form to thirty payments in two requests, one a rule."""
    alice = slack.person("alice")
    await alice.types("#payments", "/pay list")
    (listed,) = await slack.wait_for(lambda: slack.ephemerals("alice"))
    assert "`/pay vps 20000`" in shown(listed)
    clicks = [await alice.clicks(listed, PAY_SEVERAL)]
    view = await says(slack, "30 unpaid invoices · 735.00 USD", "Nothing is picked yet.")
    assert numbers(view)[0].split(" ")[0] in ("mail", "servers", "vps")
    clicks.append(await alice.clicks(view, DUE_SOON))
    view = await says(slack, "*30 payments · 735.00 USD*")
    clicks.append(await alice.submits(view, in_channel(ids.PAYMENTS)))
    assert all(click.ok for click in clicks)
    assert len(clicks) + 1 <= 12  # one to pick the channel, where it is another
    assert slack.views("alice") == []
    await at_rest(by_module)
    refs = {f"{module} {number}" for module, number in MONTH_END}
    asked = dict(await requests(by_module))
    assert set(asked["small"]) | set(asked["servers"]) == refs
    assert len(asked["servers"]) == 8
    paid = [ref for ref in MONTH_END if billing.payments_made(*ref) == 1]
    assert [module for module, _ in paid] == ["vps"] * 12 + ["mail"] * 10
    await slack.person("carol").clicks(
        next(one for one in slack.messages("#payments") if "servers" in shown(one)), "payment_approve"
    )
    await at_rest(by_module)
    assert all(billing.payments_made(*ref) == 1 for ref in MONTH_END)


@pytest.mark.usefixtures("month_end")
async def test_what_is_overdue_is_picked_by_one_button(slack: LocalSlack, by_module: app.Bot) -> None:
    """In place of what was picked; the sum says what it is, and how many requests it makes."""
    view = await form(slack, "vps", "servers", "mail")
    assert (await picks(slack, view, "vps 20001")).ok
    view = await says(slack, "*1 payment · 11.00 USD*")
    assert (await slack.person("alice").clicks(view, OVERDUE)).ok
    view = await says(slack, "2 requests, one a rule")
    overdue = [f"{module} {number}" for place, (module, number) in enumerate(MONTH_END) if place % 8 == 0]
    assert sorted(chosen(view)) == sorted(overdue)
    assert "All overdue (4)" in shown(view)
    assert "All due within 7 days (30)" in shown(view)
    assert "*4 payments · 88.00 USD*; 2 requests, one a rule" in shown(view)
    # What is picked so can be changed like anything else.
    assert (await picks(slack, view, *overdue[:2])).ok
    view = await says(slack, "*2 payments · 28.00 USD*")
    assert "2 requests" not in shown(view)
    assert (await slack.person("alice").submits(view, {})).ok
    assert await requests(by_module) == [("small", overdue[:2])]


async def test_the_sum_follows_every_pick(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Also where the next pick comes before the sum of the one before; in every currency."""
    await start_bot()
    billing.add_invoice("vps", 10199, amount=7.5, currency="EUR", due_in_days=1)
    view = await form(slack, "vps")
    three = ("vps 10101", "vps 10199", "vps 10103")
    slack.fail("views.update", "slow", times=1)
    clicks = [asyncio.create_task(picks(slack, view, *three[: count + 1])) for count in range(3)]
    assert all(result.ok for result in await asyncio.gather(*clicks))
    view = await says(slack, "*3 payments · 130.00 USD · 7.50 EUR*")
    values = view.values[menu(view)["block_id"]][INVOICES]["selected_options"]
    assert [one["value"].rsplit(" ", 2)[0] for one in values] == list(three)
    assert (await picks(slack, view)).ok
    await says(slack, "Nothing is picked yet.")


async def test_picks_stay_when_a_module_is_added(slack: LocalSlack, start_bot: StartBot) -> None:
    """So does a note and what was typed; the picks of a module that is taken away go with it."""
    bot = await start_bot()
    view = await form(slack, "vps")
    await picks(slack, view, "vps 10101", "vps 10103")
    await says(slack, "*2 payments")
    alice = slack.person("alice")
    typed = text("note", "for March") | text(NUMBERS, "mail 10301")
    assert (await alice.clicks(view, MODULES, ["vps", "domains"], values=typed)).ok
    view = await says(slack, "domains 10002")
    assert chosen(view) == ["vps 10101", "vps 10103"]
    assert "*2 payments · 130.00 USD*" in shown(view)
    assert (await alice.clicks(view, MODULES, ["domains"])).ok
    view = await says(slack, "Nothing is picked yet.")
    assert not any(one.startswith("vps") for one in numbers(view))
    assert (await alice.clicks(view, MODULES, [])).ok
    view = await says(slack, "Pick a module")
    refused = await alice.submits(view, {})
    assert list(refused.errors) == [MODULES]
    assert (await alice.clicks(view, MODULES, ["vps"])).ok
    view = await says(slack, "vps 10102")
    assert (await alice.submits(view, picked(view, "vps 10102"))).ok
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert [str(one.ref) for one in batch.payments] == ["vps 10102", "mail 10301"]
    assert batch.request.note == "for March"


async def test_picks_are_asked_for_when_they_stand_there_again(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """While the lists are read nobody sees them, nor what they cost by now, and nobody has to approve."""
    bot = await start_bot(BILLING_TIMEOUT="20")
    view = await form(slack, "vps")
    await picks(slack, view, "vps 10101", "vps 10103")
    await says(slack, "*2 payments")
    billing.fail("stall", operation="api_mail_get_client_unpaid_invoices")
    alice = slack.person("alice")
    assert (await alice.clicks(view, MODULES, ["vps", "mail"])).ok
    view = await says(slack, "Reading the unpaid invoices of vps and mail")
    costs_by_now(bot, billing, 9000.0)
    result = await alice.submits(view, {})
    assert "still being read" in result.errors[MODULES]
    assert (await alice.clicks(view, MODULES, ["vps", "mail", "domains"])).ok
    await says(slack, "Reading the unpaid invoices of domains, vps and mail")
    billing.heal()
    view = await opened(slack)
    assert chosen(view) == ["vps 10101", "vps 10103"]
    assert "*2 payments · 9,120.00 USD*" in shown(view)
    assert (await alice.submits(view, {})).ok
    await at_rest(bot)
    assert [refs for _, refs in await requests(bot)] == [["vps 10101", "vps 10103"]]


async def test_what_is_due_is_not_asked_for_before_it_is_read(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A form that a digest's button opened says so, and asks for nothing it has not shown."""
    monkeypatch.setattr("bot.payments.unpaid.READING_SERVES_S", 0.0)
    await start_bot(
        PAY_DIGEST=f"{ids.PAYMENTS} daily 00:00 UTC",
        BILLING_TIMEOUT="20",
        timing=replace(QUICK, digest=0.05),
    )
    (digest,) = await slack.wait_for(lambda: slack.messages("#payments"))
    billing.fail("stall")
    alice = slack.person("alice")
    assert (await alice.clicks(digest, PAY_SEVERAL)).ok
    view = await says(slack, "Reading the unpaid invoices of domains, vps and 8 more modules")
    result = await alice.submits(view, in_channel(ids.PAYMENTS))
    assert "still being read" in result.errors[MODULES]
    billing.heal()


async def test_a_digests_button_picks_what_it_told_of(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """What is overdue and due within its days is picked, in the channel of the digest."""
    bot = await start_bot(PAY_DIGEST=f"{ids.PAYMENTS} daily 00:00 UTC", timing=replace(QUICK, digest=0.05))
    (digest,) = await slack.wait_for(lambda: slack.messages("#payments"))
    (count,) = map(int, re.findall(r"(\d+) unpaid invoices that", shown(digest))[:1])
    assert (await slack.person("alice").clicks(digest, PAY_SEVERAL)).ok
    view = await opened(slack)
    assert len(chosen(view)) == count
    assert f"*{count} payments" in shown(view)
    assert (await slack.person("alice").submits(view, in_channel(ids.PAYMENTS))).ok
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert len(batch.payments) == count
    assert {one.state for one in batch.payments} == {State.PAID}


async def test_the_home_tab_opens_it_for_every_module(slack: LocalSlack, start_bot: StartBot) -> None:
    """With nothing picked."""
    await start_bot()
    await slack.person("alice").opens_home()
    home = await slack.wait_for(lambda: slack.home("alice"))
    assert home is not None
    assert (await slack.person("alice").clicks(home, PAY_SEVERAL)).ok
    view = await says(slack, "Nothing is picked yet.")
    assert len({one.partition(" ")[0] for one in numbers(view)}) > 5


async def test_a_modules_list_opens_it_for_that_module(slack: LocalSlack, start_bot: StartBot) -> None:
    """And its lines can be pasted as before. Who may not ask sees no button."""
    await start_bot(PAY_APPROVALS_REQUIRED="1")
    alice = slack.person("alice")
    await alice.types("#payments", "/pay list vps")
    (listed,) = await slack.wait_for(lambda: slack.ephemerals("alice"))
    assert "`/pay vps 10101`" in shown(listed)
    assert (await alice.clicks(listed, PAY_SEVERAL)).ok
    view = await says(slack, "Nothing is picked yet.")
    assert {one.partition(" ")[0] for one in numbers(view)} == {"vps"}
    await slack.person("bob").types("#payments", "/pay list vps")
    (listed,) = await slack.wait_for(lambda: slack.ephemerals("bob"))
    assert "`/pay vps 10101`" in shown(listed)
    assert listed.action_ids() == []


MANY = [("vps", 50000 + number) for number in range(130)]


@pytest.fixture
def many(billing: LocalBilling) -> None:
    """More invoices than a menu takes."""
    for module, number in MANY:
        billing.add_invoice(
            module, number, description=f"Server {number - 50000} of Ada & Co", due_in_days=number - 49990
        )


@pytest.mark.usefixtures("many")
async def test_more_than_a_menu_takes_are_found_by_typing(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The bot suggests what fits, a hundred at most; what is picked so is added up and asked for."""
    bot = await start_bot()
    alice = slack.person("alice")
    await alice.types("#payments", "/pay")
    view = await opened(slack)
    await alice.clicks(view, MODULES, ["vps"])
    view = await says(slack, "unpaid invoices", "type to find them")
    first = await alice.looks_for(view, INVOICES)
    assert len(first.options) == 100
    found = await alice.looks_for(view, INVOICES, "ada 129")
    assert [one["value"] for one in found.options] == ["vps 50129 10.00 USD"]
    assert (await alice.looks_for(view, INVOICES, "nothing such")).options == []
    assert (await alice.clicks(view, INVOICES, [*found.options, *first.options[:2]])).ok
    view = await says(slack, "*3 payments")
    assert (await alice.submits(view, {})).ok
    await at_rest(bot)
    (batch,) = await bot.ledger.recent()
    assert len(batch.payments) == 3
    assert billing.payments_made("vps", 50129) == 1


@pytest.mark.usefixtures("many")
async def test_nothing_is_suggested_to_who_may_not_ask_any_more(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out of the group while the form is open; nor while Slack does not say."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    askers = slack.world.add_group("askers", ["alice", "mallory"])
    await start_bot(PAY_ALLOWED_USERS=askers.id)
    alice = slack.person("alice")
    await alice.types("#payments", "/pay")
    view = await opened(slack)
    await alice.clicks(view, MODULES, ["vps"])
    view = await says(slack, "type to find them")
    assert len((await alice.looks_for(view, INVOICES)).options) == 100
    slack.fail("usergroups.users.list", "error:internal_error", 1)
    assert (await alice.looks_for(view, INVOICES)).options == []
    slack.world.change_group("askers", ["mallory"])
    assert (await alice.looks_for(view, INVOICES)).options == []


@pytest.mark.usefixtures("many")
async def test_suggestions_come_in_time_or_not_at_all(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack waits three seconds; what was read a short while ago serves for them."""
    await start_bot(BILLING_TIMEOUT="20")
    alice = slack.person("alice")
    await alice.types("#payments", "/pay")
    view = await opened(slack)
    await alice.clicks(view, MODULES, ["vps"])
    view = await says(slack, "type to find them")
    billing.fail("stall")
    monkeypatch.setattr("bot.payments.unpaid.READING_SERVES_S", 0.0)
    assert len((await alice.looks_for(view, INVOICES)).options) == 100
    monkeypatch.setattr("bot.payments.unpaid.RECENT_S", 0.0)
    monkeypatch.setattr("bot.slack.pay_form_fill._SUGGEST_TIMEOUT_S", 0.2)
    nothing = await alice.looks_for(view, INVOICES, "ada")
    assert nothing.error is None
    billing.heal()


async def test_what_another_request_holds_is_left_out_and_named(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """It was taken after the form had come in; the rest is asked for, and the form says what is not."""
    bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.BOB}", PAY_APPROVALS_REQUIRED="1")
    view = await form(slack, "vps")
    await request(slack, bot, "vps 10101", by="bob")
    alice = slack.person("alice")
    assert (await alice.submits(view, picked(view, "vps 10101", "vps 10102", "vps 10103"))).ok
    view = await says(slack, "Requested: #2 · 2 payments", "`vps 10101` was requested already: #1.")
    assert [block["type"] for block in view.blocks] == ["section"]
    assert [refs for _, refs in await requests(bot)] == [["vps 10101"], ["vps 10102", "vps 10103"]]


async def test_where_all_are_taken_the_form_stays(slack: LocalSlack, start_bot: StartBot) -> None:
    """With its picks, and the reason under the menu."""
    bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.BOB}", PAY_APPROVALS_REQUIRED="1")
    view = await form(slack, "vps")
    await request(slack, bot, "vps 10101", by="bob")
    await request(slack, bot, "vps 10102", by="bob")
    two = picked(view, "vps 10101", "vps 10102")
    result = await slack.person("alice").submits(view, two)
    assert list(result.errors) == [menu(view)["block_id"]]
    assert "requested already" in result.errors[menu(view)["block_id"]]
    more = picked(view, "vps 10101", "vps 10102", "vps 10103")
    assert (await slack.person("alice").submits(view, more)).ok
    assert len(await requests(bot)) == 3


async def test_what_the_rules_refuse_is_left_out_and_named(slack: LocalSlack, by_module: app.Bot) -> None:
    """Domains are for nobody here; the others are asked for by a request a rule."""
    await slack.person("alice").types("#payments", "/pay")
    view = await opened(slack)
    typed = text(NUMBERS, "domains 10001, vps 10101 10103, servers 10901")
    assert (await slack.person("alice").submits(view, typed)).ok
    view = await says(slack, "Requested: #1", "Requested: #2", "`domains 10001`")
    assert await requests(by_module) == [
        ("small", ["vps 10101", "vps 10103"]),
        ("servers", ["servers 10901"]),
    ]


async def test_a_bare_number_needs_one_module(slack: LocalSlack, start_bot: StartBot) -> None:
    """Where several are chosen it could be of each; nothing is guessed."""
    bot = await start_bot()
    view = await form(slack, "vps", "mail")
    result = await slack.person("alice").submits(view, text(NUMBERS, "10101"))
    assert "Which module does invoice 10101 belong to?" in result.errors[NUMBERS]
    assert (await slack.person("alice").submits(view, text(NUMBERS, "vps 10101 mail #10301"))).ok
    assert [refs for _, refs in await requests(bot)] == [["vps 10101", "mail 10301"]]


async def test_delivered_twice_it_is_the_same_requests(slack: LocalSlack, by_module: app.Bot) -> None:
    """By the form, its invoices and their rules."""
    view = await form(slack, "vps", "servers")
    slack.duplicate_next(1)
    both = picked(view, "vps 10101", "vps 10103", "servers 10901")
    assert (await slack.person("alice").submits(view, both)).ok
    await at_rest(by_module)
    assert len(await requests(by_module)) == 2


async def test_what_came_of_it_late_is_told_all_the_same(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack was told that it takes longer; the form then says what was left out, or why nothing was done."""
    bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.BOB}", PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot, "vps 10101", by="bob")
    monkeypatch.setattr("bot.slack.inbound.IN_TIME", 0.0)
    for typed, told in (
        ("vps 10101", "It was already requested"),
        ("vps 10101 10102", "`vps 10101` was requested already: #1."),
        ("vps 10103", "That is requested; its card follows in the channel."),
    ):
        await slack.person("alice").types("#payments", "/pay")
        view = await says(slack, "unpaid invoices ·")
        assert (await slack.person("alice").submits(view, text(NUMBERS, typed))).ok
        await slack.person("alice").closes(await says(slack, told))


async def test_a_shortcuts_form_counts_requests_for_the_channel_that_is_picked(
    slack: LocalSlack, by_module: app.Bot
) -> None:
    """It knows no channel before; whether they are in it is asked when they ask."""
    alice = slack.person("alice")
    await alice.uses_shortcut(SHORTCUT)
    view = await choose_module(slack, await opened(slack), "vps", "servers")
    both = [one for one in menu(view)["element"]["options"] if "10101" in str(one) or "10901" in str(one)]
    values = [one["value"] for one in both]
    assert (await alice.clicks(view, INVOICES, values, values=in_channel(ids.PAYMENTS))).ok
    await says(slack, "2 requests, one a rule")


def test_what_was_not_asked_for_is_named() -> None:
    """Whatever the reason: what was entered is not lost with the form."""
    held = payment_in(State.PAID, id=7, ref=InvoiceRef("vps", 1))
    many = tuple(InvoiceRef("mail", number) for number in range(1, 26))
    told = requested(
        [
            Asked((InvoiceRef("vps", 1), InvoiceRef("vps", 2)), AlreadyRequested(held)),
            Asked((InvoiceRef("ssl", 3),), DirectoryError("away")),
            Asked((InvoiceRef("ssl", 4),), CommitLost("lost")),
            Asked(many, NOT_IN_CHANNEL),
        ],
        "https://acme.slack.com/",
    ).text
    assert "`vps 1`, `vps 2` were all requested already." in told
    assert "`ssl 3`:\nSlack did not say in time" in told
    assert "`ssl 4`:\nThe answer of my own record was lost" in told
    assert "`mail 20` and 5 more:\nYou are not in that channel" in told
