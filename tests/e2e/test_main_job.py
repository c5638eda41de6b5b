"""The main job, the whole way over sockets: a command in a channel, one call, the answer in the thread."""

from __future__ import annotations

import socket

import pytest

from bot import app
from bot.domain.payment import State
from bot.sandbox.billing import LocalBilling
from bot.sandbox.slack import LocalSlack
from bot.sandbox.slack import identifiers as ids
from tests.conftest import StartBot
from tests.slack.acting import at_rest, card, shown, thread, told

AT_ONCE = 1.0
"""Seconds; Slack waits for three."""


async def over_http(slack: LocalSlack, start_bot: StartBot) -> tuple[app.Bot, str]:
    """A bot in HTTP mode, and the request URL that Slack delivers to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/slack/events"
    slack.deliver_to(url)
    bot = await start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=slack.signing_secret, HTTP_PORT=str(port))
    return bot, url


@pytest.fixture(params=["Socket Mode", "HTTP"])
async def bot(request: pytest.FixtureRequest, slack: LocalSlack, start_bot: StartBot) -> app.Bot:
    """The bot, reached in the one way and in the other."""
    if request.param == "HTTP":
        return (await over_http(slack, start_bot))[0]
    return await start_bot()


def operations(billing: LocalBilling) -> list[str]:
    """What the billing API was asked, in order; which modules there are may be asked at any time."""
    return [call.operation for call in billing.log if call.operation != "get_modules"]


# -- from the command to the thread -----------------------------------------------------------------


async def test_the_whole_way(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> None:
    """A card with the facts, one call of the API, its status_text in the thread, and the trail of it all."""
    result = await slack.person("alice").types("#payments", "/pay vps 10101")
    assert result.ok
    assert result.seconds < AT_ONCE
    await at_rest(bot)
    asked = card(slack)
    for fact in (
        "#1 · vps invoice 10101 · 10.00 USD",
        "(Repeat Invoice: 19160101) KVM Linux VPS 1 Slice",
        "Asked for by <@U0ALICE001>",
        ":white_check_mark: *Paid*",
    ):
        assert fact in shown(asked)
    assert "Due " in shown(asked)
    assert asked.action_ids() == []
    (reply,) = asked.thread
    assert "> Payment of 10.00 USD for Invoice 10101 Successful." in shown(reply)
    assert ":white_check_mark: *Paid*" in shown(reply)
    assert reply.text.startswith("#1: Paid. The billing API says: Payment of 10.00 USD")
    assert slack.ephemerals("alice") == []
    assert operations(billing) == ["api_login", "api_vps_get_client_unpaid_invoices", "api_make_payment"]
    (attempt,) = await bot.ledger.attempts(1)
    assert (attempt.verdict, attempt.status) == ("PAID", "ok")
    trail = [event.action for event in await bot.ledger.history(1)]
    assert trail == ["requested", "looked_up", "approval_complete", "sending", "answered"]
    assert (await bot.ledger.verify()).broken_at is None


@pytest.mark.parametrize("text", ["VPS 10101", "vps #10101", "   vps    10101  ", "Vps  #10101"])
async def test_it_is_lenient_about_how_it_is_typed(
    text: str, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Capitals, a number sign and surplus blanks change nothing."""
    bot = await start_bot()
    assert (await slack.person("alice").types("#payments", f"/pay {text}")).ok
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1
    assert thread(slack)[0].startswith("#1: Paid.")


async def test_a_status_error_is_shown_as_declined(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """The documented answer to an invoice that does not exist, word for word, under another sign."""
    assert (await slack.person("alice").types("#payments", "/pay vps 4711")).ok
    await at_rest(bot)
    assert "Not in the list of unpaid invoices" in shown(card(slack))
    (reply,) = card(slack).thread
    assert ":x: *Declined; nothing was paid*" in shown(reply)
    assert "> Invalid Invoice Number Passed or missing Module information." in shown(reply)
    assert billing.payments_received("vps", 4711) == 1


async def test_outside_text_stays_text(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> None:
    """A mention, a tag and an ampersand in a description notify nobody."""
    assert (await slack.person("alice").types("#payments", "/pay domains 10002")).ok
    await at_rest(bot)
    assert "café &amp; &lt;b&gt; &lt;!channel&gt;" in shown(card(slack))
    assert "<!channel>" not in shown(card(slack))
    assert "17.50 EUR" in shown(card(slack))


async def test_a_private_channel_works_when_the_bot_was_invited(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """The bot does not care what kind of channel it is in."""
    await slack.person("alice").invites_bot("#finance-private")
    assert (await slack.person("alice").types("#finance-private", "/pay vps 10101")).ok
    await at_rest(bot)
    assert thread(slack, "#finance-private")[0].startswith("#1: Paid.")


# -- acknowledged at once ---------------------------------------------------------------------------


async def test_it_acknowledges_while_the_billing_api_stalls(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """Many people at once, and none waits for the API; the requests are in the ledger all the same."""
    billing.fail("stall")
    for number in range(10101, 10105):
        result = await slack.person("alice").types("#payments", f"/pay vps {number}")
        assert result.ok
        assert result.seconds < AT_ONCE
    assert len(await bot.ledger.recent()) == 4


async def test_it_acknowledges_while_slack_takes_no_message(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """A post that hangs holds up neither the commands nor, in the end, the payments."""
    slack.fail("chat.postMessage", "slow", 1, seconds=1.5 * AT_ONCE)
    for number in (10101, 10102):
        result = await slack.person("alice").types("#payments", f"/pay vps {number}")
        assert result.ok
        assert result.seconds < AT_ONCE
    assert slack.messages("#payments") == []
    assert "api_make_payment" not in operations(billing)
    await at_rest(bot)
    assert ["*Paid*" in shown(one) for one in slack.messages("#payments")] == [True, True]


# -- never twice ------------------------------------------------------------------------------------


async def test_a_command_delivered_twice_is_one_request(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """Slack may repeat itself; there is one card and one payment, and nobody is told off."""
    slack.duplicate_next(1)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await at_rest(bot)
    assert len(slack.messages("#payments")) == 1
    assert slack.ephemerals("alice") == []
    assert billing.payments_received("vps", 10101) == 1


async def test_a_second_command_is_answered_with_the_first_card(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """While the first is under way and after it was paid, by whomever it is asked: a link, and no call."""
    bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.MALLORY}", BILLING_TIMEOUT="20")
    billing.fail("timeout-after")
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    (first,) = await slack.wait_for(lambda: slack.messages("#payments"))
    link = f"<https://acme.slack.com/archives/{ids.PAYMENTS}/p{first.ts.replace('.', '')}|See its card>"
    assert (await slack.person("mallory").types("#payments", "/pay vps #10101")).ok
    again = await told(slack, "mallory")
    assert "vps invoice 10101 was already requested; it is #1." in again
    assert link in again
    billing.heal()
    await at_rest(bot)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    assert link in await told(slack, "alice")
    assert len(slack.messages("#payments")) == 1
    assert billing.payments_received("vps", 10101) == 1
    refused = [event for event in await bot.ledger.history(1) if event.action == "refused"]
    assert [event.actor for event in refused] == [ids.MALLORY, ids.ALICE]


async def test_a_declined_invoice_may_be_asked_for_again(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Nothing was paid, so the way is free: a new card and a new call."""
    bot = await start_bot()
    billing.fail("declined", times=1)
    for _ in range(2):
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        await at_rest(bot)
    first, second = slack.messages("#payments")
    assert "> The Credit Card on file was declined." in shown(first.thread[0])
    assert "> Payment of 10.00 USD" in shown(second.thread[0])
    assert billing.payments_made("vps", 10101) == 1


async def test_what_was_never_sent_is_sent_later_by_itself(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The API was down when it was asked for: the thread says so, and then that it was paid, once."""
    bot = await start_bot()
    billing.fail("login-blank")
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await slack.wait_for(lambda: slack.messages("#payments") and thread(slack))
    assert "Not sent; will be tried again" in thread(slack)[0]
    billing.heal()
    await slack.wait_for(lambda: "*Paid*" in shown(card(slack)))
    await at_rest(bot)
    assert thread(slack)[-1].startswith("#1: Paid.")
    assert billing.payments_received("vps", 10101) == 1


# -- refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "text", "said"),
    [
        ("mallory", "vps 10101", "You are not among those who may request payments."),
        ("gil", "vps 10101", "You are not among those who may request payments."),
        ("alice", "vps 0", '"0" begins with a zero, as an invoice number never does.'),
        ("alice", "vps 2147483648", "is too high for an invoice number"),
        ("alice", "vps 10101.7", "is not an invoice number"),
        ("alice", "vps 1e4", "is not an invoice number"),
        ("alice", "vps ١٢٣", "is not an invoice number"),
        ("alice", "vsp 10101", "Did you mean /pay vps 10101?"),
        ("alice", "10101", "/pay"),
        ("alice", "help", "Pays invoices from this channel."),
        ("alice", "vps 10101 now please", "/pay"),
    ],
)
async def test_what_is_refused_is_told_to_one_person_and_to_no_api(
    person: str, text: str, said: str, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Who may not, and what is no invoice: an ephemeral answer that helps, and nothing else."""
    bot = await start_bot()
    result = await slack.person(person).types("#payments", f"/pay {text}")
    assert result.ok
    assert result.seconds < AT_ONCE
    assert said in await told(slack, person)
    await at_rest(bot)
    assert slack.messages("#payments") == []
    assert operations(billing) == []
    assert await bot.ledger.recent() == []


@pytest.mark.parametrize("channel", ["#random", "#finance-private"])
async def test_where_the_bot_is_not_nothing_is_paid(
    channel: str, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """The person is told what to type; when they have, the same command works."""
    alice = slack.person("alice")
    assert (await alice.types(channel, "/pay vps 10101")).ok
    answer = await told(slack, "alice")
    assert "Nothing was paid: I cannot post in" in answer
    assert "`/invite @invoice-pay`" in answer
    await at_rest(bot)
    assert slack.messages(channel) == []
    assert billing.payments_received("vps", 10101) == 0
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.CANCELLED
    assert (await alice.types(channel, "/invite @invoice-pay")).ok
    assert (await alice.types(channel, "/pay vps 10101")).ok
    await at_rest(bot)
    assert thread(slack, channel)[0].startswith("#2: Paid.")
    assert billing.payments_received("vps", 10101) == 1


async def test_another_channel_than_the_allowed_ones_is_refused(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """PAY_ALLOWED_CHANNELS is named in the answer, so that the person knows where to go."""
    bot = await start_bot(PAY_ALLOWED_CHANNELS=ids.APPROVALS)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    assert f"<#{ids.APPROVALS}>" in await told(slack, "alice")
    await at_rest(bot)
    assert operations(billing) == []


async def test_a_badly_signed_request_changes_nothing(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """In HTTP mode somebody who does not know the secret, or repeats what is old, is not listened to."""
    bot, url = await over_http(slack, start_bot)
    slack.deliver_to(url, "not the secret")
    refused = await slack.person("alice").types("#payments", "/pay vps 10101")
    assert refused.error == "dispatch_failed"
    slack.deliver_to(url)
    slack.clock.advance(-301)
    refused = await slack.person("alice").types("#payments", "/pay vps 10101")
    assert refused.error == "dispatch_failed"
    assert await bot.ledger.recent() == []
    assert operations(billing) == []
