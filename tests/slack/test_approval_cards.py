"""Where approval is asked for: which card names whom, who gets a direct message, and what both cards show."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.ledger.store import utc_now
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.slack.card import APPROVE, ASK_AGAIN, DENY, WITHDRAW
from tests.fixture_types import StartBot
from tests.slack.acting import approve, at_rest, card, deny, request, shown, thread


async def test_two_cards_stand_and_link_to_each_other(slack: LocalSlack, start_bot: StartBot) -> None:
    """The approval channel's card has the decision, the origin's has Withdraw; both follow the state."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2", PAY_APPROVAL_CHANNEL=ids.APPROVALS)
    origin = await request(slack, bot)
    asking = card(slack, "#approvals")
    assert origin.action_ids() == [WITHDRAW]
    assert asking.action_ids() == [APPROVE, DENY]
    assert f"/archives/{ids.APPROVALS}/p{asking.ts.replace('.', '')}|" in shown(origin)
    assert f"/archives/{ids.PAYMENTS}/p{origin.ts.replace('.', '')}|" in shown(asking)
    await approve(slack, asking, "bob")
    await at_rest(bot)
    for channel in ("#payments", "#approvals"):
        assert "Approved so far by <@U0BOB00001>" in shown(card(slack, channel))
    await deny(slack, card(slack, "#approvals"), "carol", "no")
    await at_rest(bot)
    for channel, buttons in (("#payments", [ASK_AGAIN]), ("#approvals", [])):
        assert card(slack, channel).action_ids() == buttons
        assert "*Denied; nothing was paid*" in shown(card(slack, channel))
        assert "\nDenied by <@U0CAROL001>\n> no" in shown(card(slack, channel))
    assert len(thread(slack)) == 2
    assert card(slack, "#approvals").thread == ()


async def test_who_may_approve_is_reminded_where_they_decide(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob is not where it was asked for, and would hear of no reminder there; the outcome is told there."""
    slack.world.leave("payments", "bob")
    bot = await start_bot(
        PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.BOB, PAY_APPROVAL_CHANNEL=ids.APPROVALS
    )
    origin = await request(slack, bot)
    monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() + timedelta(hours=40))
    await slack.wait_for(lambda: card(slack, "#approvals").thread)
    (reminder,) = card(slack, "#approvals").thread
    assert reminder.text.startswith("#1: Reminder: Needs 1 more approval from <@U0BOB00001>")
    assert thread(slack) == []
    await approve(slack, card(slack, "#approvals"), "bob")
    await at_rest(bot)
    assert card(slack).ts == origin.ts
    assert thread(slack)[-1].startswith("#1: Paid.")
    assert len(card(slack, "#approvals").thread) == 1


async def test_a_group_is_mentioned_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """A mention notifies, so only one post holds it: the card where the decision is asked for."""
    bot = await start_bot(
        PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP, PAY_APPROVAL_CHANNEL=ids.APPROVALS
    )
    await request(slack, bot)
    posts = [call for call in slack.calls if call.method == "chat.postMessage"]
    mentioning = [call.arguments["channel"] for call in posts if ids.FINANCE_GROUP in str(call.arguments)]
    assert mentioning == [ids.APPROVALS]
    assert "Needs 1 more approval in <#C0APPROVAL>" in shown(card(slack))


async def test_approvers_who_are_elsewhere_are_asked_directly(slack: LocalSlack, start_bot: StartBot) -> None:
    """Carol is named but not in the channel, so she gets a link to the card; Bob, who is, gets nothing."""
    slack.world.leave("approvals", "carol")
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVAL_CHANNEL=ids.APPROVALS)
    await request(slack, bot, "vps 10101")
    await request(slack, bot, "vps 10102")
    first, _second = slack.direct_messages("carol")
    asking = slack.messages("#approvals")[0]
    assert "<@U0ALICE001> asks for your approval of #1 · vps invoice 10101, 10.00 USD." in first.text
    assert f"/archives/{ids.APPROVALS}/p{asking.ts.replace('.', '')}|Decide on its card>" in shown(first)
    assert slack.direct_messages("bob") == []
    assert slack.direct_messages("alice") == []
    reads = [call for call in slack.calls if call.method == "conversations.members"]
    assert len(reads) == 1


async def test_members_of_a_group_get_no_direct_message(slack: LocalSlack, start_bot: StartBot) -> None:
    """The mention is theirs; and no card that asks for no approval invites anybody."""
    slack.world.leave("approvals", "carol")
    bot = await start_bot(
        PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.FINANCE_GROUP, PAY_APPROVAL_CHANNEL=ids.APPROVALS
    )
    await request(slack, bot)
    assert slack.direct_messages("carol") == []


async def test_a_payment_without_approval_invites_nobody(slack: LocalSlack, start_bot: StartBot) -> None:
    """Who would approve other amounts is left alone, and Slack is not asked who is in the channel."""
    slack.world.leave("payments", "carol")
    bot = await start_bot()
    await request(slack, bot)
    assert slack.direct_messages("carol") == []
    assert "conversations.members" not in [call.method for call in slack.calls]


async def test_everybody_named_is_asked_where_slack_does_not_say_who_is_there(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Being told twice is better than never being told."""
    slack.fail("conversations.members", "error:missing_scope")
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    assert len(slack.direct_messages("bob")) == 1
    assert len(slack.direct_messages("carol")) == 1


async def test_an_invitation_outlives_an_outage(slack: LocalSlack, start_bot: StartBot) -> None:
    """It is a delivery like any other: tried again when Slack takes it, and posted once."""
    slack.world.leave("payments", "carol")
    slack.fail("chat.postMessage", "429", 1, channel=ids.CAROL, retry_after=1)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    assert len(slack.direct_messages("carol")) == 1


async def test_nobody_is_asked_for_what_is_decided(slack: LocalSlack, start_bot: StartBot) -> None:
    """Bob was faster than the invitation to Carol, so it is not sent any more."""
    slack.world.leave("payments", "carol")
    slack.fail("chat.postMessage", "429", 1, channel=ids.CAROL, retry_after=1)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").types("#payments", "/pay vps 10101")
    asked = await slack.wait_for(lambda: slack.messages("#payments"))
    await approve(slack, asked[0], "bob")
    await at_rest(bot)
    assert slack.direct_messages("carol") == []
    assert await bot.ledger.undelivered() == 0


async def test_no_approval_card_no_payment(slack: LocalSlack, start_bot: StartBot) -> None:
    """Nobody could decide where the bot may not post: it is cancelled, and the thread says so once."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVAL_CHANNEL=ids.RANDOM)
    asked = await request(slack, bot)
    assert len(asked.thread) == 1
    assert "I cannot post in <#C0RANDOM01>" in thread(slack)[0]
    assert "/invite @invoice-pay" in thread(slack)[0]
    assert asked.action_ids() == []


async def test_no_card_is_told_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """Where the bot may not post at all, the requester is told where they typed, one time."""
    bot = await start_bot()
    await slack.person("alice").types("#random", "/pay vps 10101")
    await at_rest(bot)
    (only,) = slack.ephemerals("alice")
    assert "I cannot post in <#C0RANDOM01>" in only.text


def test_the_manifest_asks_for_what_is_used_and_no_more() -> None:
    """Each scope has a method that needs it."""
    scopes = DEFAULT_MANIFEST["oauth_config"]["scopes"]
    assert sorted(scopes["bot"]) == [
        "channels:read",  # conversations.members
        "chat:write",  # chat.postMessage, chat.update
        "commands",  # /pay and the shortcut
        "groups:read",  # conversations.members
        "usergroups:read",  # usergroups.users.list
        "users:read",  # users.info
    ]
    assert sorted(scopes["bot_optional"]) == ["channels:history", "groups:history"]


async def test_a_reminder_that_could_not_be_told_before_it_was_decided_is_dropped(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Slack was away when half of the time was over, and Bob denied it then: nobody is reminded any more."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_EXPIRES_AFTER="4s")
    asked = await request(slack, bot)
    slack.fail("chat.postMessage", "error:internal_error")
    changed = bot.ledger.watch()
    async with asyncio.timeout(10):
        while "reminded" not in [event.action for event in await bot.ledger.history(1)]:
            await changed.wait()
            changed.clear()
    await deny(slack, asked, "bob", "no")
    slack.heal()
    await at_rest(bot)
    (told,) = thread(slack)
    assert "Denied by" in told
