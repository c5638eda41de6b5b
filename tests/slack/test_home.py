"""The Home tab: what waits for me, with buttons; my requests; what became of things. Fresh, and cheap."""

from __future__ import annotations

import pytest

from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.views import View
from bot.slack.card import APPROVE, DENY
from tests.fixture_types import StartBot
from tests.slack.acting import approve, at_rest, card, deny, request, shown, thread


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
    after = await sees(slack, "bob", "Nothing waits for you.", ":white_check_mark: *Paid*")
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
    await sees(slack, "carol", "Nothing waits for you.", "*Denied*")
    await at_rest(bot)
    assert thread(slack) == ["#1: Denied by <@U0CAROL001>\n> not now"]


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
    assert [block["block_id"] for block in view.blocks if block["type"] == "actions"] == ["decide:1"]
    await approve(slack, card(slack), "carol")
    await sees(slack, "alice", "You have no open request.", "*Paid*")
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


async def test_many_payments_keep_slacks_limits(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Fifteen requests wait; the tab shows ten of them, and Slack takes it."""
    for number in range(20_000, 20_015):
        billing.add_invoice("vps", number, description="&<>" * 100)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    for number in range(20_000, 20_015):
        await slack.person("alice").types("#payments", f"/pay vps {number}")
    await at_rest(bot)
    await slack.person("bob").opens_home()
    view = await sees(slack, "bob", "invoice 20014")
    assert len([block for block in view.blocks if block["type"] == "actions"]) == 10
