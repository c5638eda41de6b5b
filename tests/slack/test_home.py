"""The Home tab: what waits for me, with buttons; my requests; what became of things. Fresh, and cheap."""

from __future__ import annotations

from datetime import date

import pytest

from bot.domain.payment import InvoiceRef, State
from bot.ledger.store import Ledger
from bot.payments.overview import Concerns, Pending
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.views import View
from bot.slack.card import APPROVE, DENY
from bot.slack.home import Tab, home
from bot.slack.pay_form_button import OPEN_FORM
from bot.slack.unpaid_view import UNPAID
from tests.fixture_types import StartBot
from tests.ledger.making import request as requested
from tests.ledger.making import stored, trail
from tests.slack.acting import approve, asks, at_rest, card, deny, request, shown, thread


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two views for one person may follow each other at once."""
    monkeypatch.setattr("bot.slack.home.APART", 0.02)
    monkeypatch.setattr("bot.slack.home._EACH", 0.0)


async def sees(slack: LocalSlack, person: str, *texts: str) -> View:
    """Wait until the person's Home tab shows all of this."""

    def ready() -> list[View]:
        view = slack.home(person)
        return [view] if view and all(text in shown(view) for text in texts) else []

    return (await slack.wait_for(ready))[0]


def published(slack: LocalSlack) -> int:
    """How often any Home tab was published."""
    return sum(call.method == "views.publish" for call in slack.calls)


async def test_what_waits_for_me_can_be_approved_there(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The button counts as on the card, and the tab shows what became of it while it is open."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    await slack.person("bob").opens_home()
    view = await sees(slack, "bob", "#1 · vps invoice 10101", "10.00 USD", "Asked for by <@U0ALICE001>")
    assert (await approve(slack, view, "bob")).ok
    after = await sees(slack, "bob", "Nothing waits for you.", ":white_check_mark: Paid")
    assert APPROVE not in str(after.blocks)
    assert billing.payments_made("vps", 10101) == 1
    await at_rest(bot)
    assert thread(slack)[0].startswith("#1: Approved by <@U0BOB00001>")
    assert slack.views("bob") == []


async def test_a_denial_from_the_tab_asks_why(slack: LocalSlack, start_bot: StartBot) -> None:
    """The form opens over the tab, and the reason goes where it always goes."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    await slack.person("carol").opens_home()
    view = await sees(slack, "carol", "#1 · vps invoice 10101")
    assert (await deny(slack, view, "carol", "not now")).ok
    await sees(slack, "carol", "Nothing waits for you.", "Denied; nothing was paid")
    await at_rest(bot)
    assert thread(slack) == ["#1: Denied by <@U0CAROL001>. Nothing was paid.\n> not now"]


async def test_an_outdated_tab_answers_in_a_form(slack: LocalSlack, start_bot: StartBot) -> None:
    """There is no message to answer beside, so a form says how it stands."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    await slack.person("bob").opens_home()
    view = await sees(slack, "bob", "#1 · vps invoice 10101")
    slack.fail("views.publish", "429", retry_after=30)
    await approve(slack, card(slack), "carol")
    await at_rest(bot)
    for action in (APPROVE, DENY):
        assert (await slack.person("bob").clicks(view, action)).ok
        (told,) = await slack.wait_for(lambda: slack.views("bob"))
        assert "Nothing was done" in shown(told)
        await slack.person("bob").closes(told)


async def test_the_tab_follows_what_others_do(slack: LocalSlack, start_bot: StartBot) -> None:
    """A requester sees their request come, wait and end; an approver sees what becomes theirs to decide."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").opens_home()
    await slack.person("bob").opens_home()
    await sees(slack, "alice", "You have no open request.")
    await request(slack, bot)
    await sees(slack, "alice", "#1 · vps invoice 10101", "Waiting for approval", "Nothing waits for you.")
    view = await sees(slack, "bob", "#1 · vps invoice 10101")
    assert [block["block_id"] for block in view.blocks if block["type"] == "actions"] == [
        "decide:1",
        "unpaid",
    ]
    await approve(slack, card(slack), "carol")
    await sees(slack, "alice", "You have no open request.", ":white_check_mark: Paid")
    await sees(slack, "bob", "Nothing waits for you.", "Nothing yet.")


async def test_it_is_published_only_where_it_shows_something_new(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A refused click is an event, and changes nobody's tab; what nobody looks at costs nothing."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    assert published(slack) == 0
    await slack.person("bob").opens_home()
    await sees(slack, "bob", "#1 · vps invoice 10101")
    await slack.person("mallory").clicks(asked, APPROVE)
    await slack.person("alice").opens_home()
    await sees(slack, "alice", "#1 · vps invoice 10101")
    assert published(slack) == 2


async def test_it_leads_to_the_cards(slack: LocalSlack, start_bot: StartBot) -> None:
    """Also to one that was posted after the tab was: the link comes by itself."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("bob").opens_home()
    await sees(slack, "bob", "Nothing waits for you.")
    slack.fail("chat.postMessage", "slow", 1, seconds=0.3)
    asked = await request(slack, bot)
    await sees(slack, "bob", f"p{asked.ts.replace('.', '')}|#1 · vps invoice 10101>")


async def test_who_has_no_part_in_it_reads_why(slack: LocalSlack, start_bot: StartBot) -> None:
    """Mallory and a guest in the group see no amount; the messages tab is left alone."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP)
    slack.world.change_group("finance", ["bob", "gil"])
    await request(slack, bot)
    for person, why in (("mallory", "You are not among those"), ("gil", "Guests")):
        await slack.person(person).opens_home()
        assert "10.00" not in shown(await sees(slack, person, why))
    result = await slack.send_event({"type": "app_home_opened", "user": ids.BOB, "tab": "messages"})
    assert result.ok
    await slack.person("mallory").opens_home()
    await slack.wait_for(lambda: published(slack) == 3)
    assert slack.home("bob") is None


async def test_it_comes_when_slack_answers_again(slack: LocalSlack, start_bot: StartBot) -> None:
    """Neither a busy Slack nor a directory that is away leaves the tab as it was."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP)
    await request(slack, bot)
    slack.fail("views.publish", "429", 1, retry_after=1)
    await slack.person("alice").opens_home()
    await sees(slack, "alice", "#1 · vps invoice 10101")


async def test_it_says_when_slack_does_not_tell_who_is_who(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who may be in the group reads that it is not known, and the tab when it is."""
    monkeypatch.setattr("bot.slack.home._PUBLISH_TIMEOUT_S", 0.1)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP)
    await request(slack, bot)
    slack.fail("usergroups.users.list", "error:internal_error")
    slack.fail("users.info", "error:internal_error")
    await slack.person("carol").opens_home()
    await sees(slack, "carol", "Slack did not say in time")
    slack.heal()
    await sees(slack, "carol", "#1 · vps invoice 10101")


async def test_nothing_that_waits_for_me_is_hidden(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Sixty of others wait for somebody else and came later; mine are all there, what expires first on top.

    Ten have buttons, the others lead to their cards, and the sum is that of all.
    """
    for number in range(20_000, 20_015):
        billing.add_invoice("vps", number, amount=100.5, description="&<>" * 100)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    for number in range(20_000, 20_015):
        await slack.person("alice").types("#payments", f"/pay vps {number}")
        await at_rest(bot)
    for number in range(60):
        ref = InvoiceRef("mail", 30_000 + number)
        await requested(bot.ledger, ref, requester=ids.BOB, team=ids.TEAM_ID, moved_to=State.PENDING_APPROVAL)
    await slack.person("bob").opens_home()
    view = await sees(slack, "bob", "Waiting for your approval: 15 · 1,507.50 USD", "invoice 20014")
    decided = [block["block_id"] for block in view.blocks if block["type"] == "actions"]
    assert decided == [*(f"decide:{number}" for number in range(1, 11)), "selected", "unpaid"]
    assert "*5 more, which expire later:*" in shown(view)
    lines = [line for line in shown(view).splitlines() if " · expires " in line and line.startswith("<http")]
    assert [line.split("|")[1][:3].strip() for line in lines] == ["#11", "#12", "#13", "#14", "#15"]
    pending = await asks(slack, "pending", by="bob")
    assert pending.splitlines()[:2] == [
        "*Waiting for approval: 75 · 1,507.50 USD · 60 of unknown amount*",
        "*Waiting for you: 15 · 1,507.50 USD*",
    ]
    assert pending.count("*Waits for you*") == 15
    assert pending.index("invoice 20000") < pending.index("invoice 20014")
    left = 75 - sum(" missing · until " in line for line in pending.splitlines())
    assert f"… and {left} more. Those that wait for you are on my Home tab." in pending


async def test_my_open_requests_are_all_there(slack: LocalSlack, start_bot: StartBot) -> None:
    """However many of mine came later and are done."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    for number in range(15):
        ref = InvoiceRef("mail", 30_000 + number)
        await requested(bot.ledger, ref, requester=ids.ALICE, team=ids.TEAM_ID, moved_to=State.CANCELLED)
    await slack.person("alice").opens_home()
    view = await sees(slack, "alice", "Your open requests", "#1 · vps invoice 10101")
    assert "You have no open request." not in shown(view)


async def test_what_slack_does_not_say_is_not_hidden(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob may decide on it through the group; while Slack is silent the tab says that something may wait."""
    monkeypatch.setattr("bot.slack.home._PUBLISH_TIMEOUT_S", 0.5)
    approvers = f"{ids.FINANCE_GROUP},{ids.BOB}"
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=approvers, PAY_ALLOWED_USERS=ids.ALICE)
    await request(slack, bot)
    slack.fail("usergroups.users.list", "error:internal_error")
    pending = Pending((), (), unsure=3)
    tab = home(Tab(Concerns(pending, (), (), ()), "https://acme.slack.com/", date(2026, 3, 2), may_ask=False))
    assert "Of 3 Slack did not say in time whether they wait for you" in str(tab)
    assert "Nothing waits for you" not in str(tab)
    await slack.person("bob").opens_home()
    await sees(slack, "bob", "#1 · vps invoice 10101")


async def test_the_form_opens_from_the_tab(slack: LocalSlack, start_bot: StartBot) -> None:
    """Nobody can type there; who may only approve is offered no form."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").opens_home()
    view = await sees(slack, "alice", "You have no open request.", "Pay an invoice…")
    assert "/pay" not in shown(view)
    assert (await slack.person("alice").clicks(view, OPEN_FORM)).ok
    (form,) = await slack.wait_for(lambda: slack.views("alice"))
    assert "Request payment" in str(form.definition["submit"])
    await slack.person("bob").opens_home()
    approvers = await sees(slack, "bob", "Show the unpaid invoices")
    assert "Pay an invoice" not in shown(approvers)
    await at_rest(bot)


async def test_the_unpaid_invoices_are_shown_over_the_tab(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /pay list shows them, to those who may see it when they click; what cannot be read is named."""
    monkeypatch.setattr("bot.slack.directory.KEEP_S", 0.0)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP)
    slack.world.change_group("finance", ["bob", "carol"])
    billing.fail("fault-before", operation="api_mail_get_client_unpaid_invoices")
    await slack.person("bob").opens_home()
    view = await sees(slack, "bob", "Show the unpaid invoices")
    assert (await slack.person("bob").clicks(view, UNPAID)).ok
    (told,) = await slack.wait_for(
        lambda: [one for one in slack.views("bob") if "16 unpaid invoices" in shown(one)]
    )
    assert "Could not be read now: mail." in shown(told)
    assert "`/pay vps 10103` · *120.00 USD*" in shown(told)
    await slack.person("bob").closes(told)
    slack.world.change_group("finance", ["carol"])
    await slack.person("bob").clicks(view, UNPAID)
    (refused,) = await slack.wait_for(lambda: slack.views("bob"))
    assert "You are not among those" in shown(refused)
    assert "120.00" not in shown(refused)
    assert await refusals_of(bot.ledger) == [(ids.BOB, "show_unpaid")]


async def refusals_of(ledger: Ledger) -> list[tuple[str, object]]:
    """Who was refused what, by the trail."""
    refused = [event for event in await trail(ledger) if event.action == "refused"]
    return [(event.actor, stored(event)["what"]) for event in refused]
