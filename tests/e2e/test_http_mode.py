"""HTTP mode: the same bot, where Slack comes to its port instead of the bot going to Slack."""

from __future__ import annotations

import time

import aiohttp
import pytest
import structlog.testing

from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.views import View
from bot.slack.pay_form_button import PAY_SEVERAL
from bot.slack.pay_form_view import DUE_SOON, INVOICES
from tests.e2e.listening import Listening, command_body, signed
from tests.slack.acting import at_rest, card, shown, told
from tests.slack.filling import in_channel, menu


async def _says(slack: LocalSlack, words: str) -> View:
    """Alice's form, when it says this."""
    return (await slack.wait_for(lambda: [one for one in slack.views("alice") if words in shown(one)]))[0]


class TestWhatSlackDelivers:
    async def test_the_whole_way(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """From the command to the thread, with one call of the billing API."""
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        await at_rest(listening.bot)
        assert "*Paid*" in shown(card(slack))
        (reply,) = card(slack).thread
        assert "> Payment of 10.00 USD for Invoice 10101 Successful." in shown(reply)
        assert billing.payments_received("vps", 10101) == 1
        assert slack.sockets.connections == 0

    async def test_buttons_and_forms_arrive(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """Whatever a person does comes by the same way: the form, the Home tab, an ephemeral answer."""
        alice = slack.person("alice")
        assert (await alice.types("#payments", "/pay")).ok
        assert await slack.wait_for(lambda: slack.views("alice"))
        assert (await alice.opens_home()).ok
        assert await slack.wait_for(lambda: slack.home("alice"))
        assert (await slack.person("mallory").types("#payments", "/pay vps 10101")).ok
        assert "You are not among those who may request payments." in await told(slack, "mallory")
        assert billing.payments_received("vps", 10101) == 0

    async def test_a_form_as_large_as_can_be_arrives(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """With all the options of a menu, and all of them picked."""
        for number in range(95):
            billing.add_invoice("mail", 50000 + number, description="é & <b> " * 10, due_in_days=1)
        alice = slack.person("alice")
        await alice.types("#payments", "/pay list mail")
        (listed,) = await slack.wait_for(lambda: slack.ephemerals("alice"))
        assert (await alice.clicks(listed, PAY_SEVERAL)).ok
        view = await _says(slack, "Nothing is picked yet.")
        assert (await alice.clicks(view, DUE_SOON)).ok
        count = len(menu(await _says(slack, "payments ·"))["element"]["initial_options"])
        assert count > 90
        result = await alice.submits(view.id, in_channel(listed.channel))
        assert result.ok, result
        (batch,) = await listening.bot.ledger.recent()
        assert len(batch.payments) == count

    async def test_what_is_typed_into_a_menu_is_answered(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """Of more invoices than a menu takes, those that fit are suggested."""
        for number in range(130):
            billing.add_invoice("domains", 50000 + number, description=f"host {number}")
        alice = slack.person("alice")
        await alice.types("#payments", "/pay")
        view = await _says(slack, "type to find them")
        found = await alice.looks_for(view, INVOICES, "host 129")
        assert [one["value"] for one in found.options] == ["domains 50129 10.00 USD"]

    async def test_it_acknowledges_as_fast(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """It waits for no billing API, and for no post to Slack."""
        billing.fail("stall")
        slack.fail("chat.postMessage", "timeout")
        result = await slack.person("alice").types("#payments", "/pay vps 10101")
        assert result.ok
        assert result.seconds < 2

    async def test_a_command_that_is_delivered_twice_is_one(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """As in Socket Mode: one card, one payment, and nobody is told off."""
        slack.duplicate_next(1)
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        await at_rest(listening.bot)
        assert len(slack.messages("#payments")) == 1
        assert slack.ephemerals("alice") == []
        assert billing.payments_received("vps", 10101) == 1


class TestWhatAnybodyMaySend:
    async def test_only_slack_can_deliver(
        self, slack: LocalSlack, billing: LocalBilling, listening: Listening
    ) -> None:
        """A wrong secret, no signature, an old request: refused, and nothing happens."""
        body = command_body()
        attempts = [
            signed("0" * 32, body),
            {"Content-Type": "application/x-www-form-urlencoded"},
            signed(slack.signing_secret, body, at=time.time() - 301),
            signed(slack.signing_secret, body + "0"),
        ]
        async with aiohttp.ClientSession() as session:
            for headers in attempts:
                async with session.post(listening.url, data=body, headers=headers) as answer:
                    assert answer.status == 401
            assert await listening.bot.ledger.recent() == []
            for _ in range(3):  # the very same request again: a replay within Slack's five minutes
                async with session.post(
                    listening.url, data=body, headers=signed(slack.signing_secret, body)
                ) as answer:
                    assert answer.status == 200
                    assert await answer.text() == ""
        assert await listening.bot.rest(10)
        assert billing.payments_received("vps", 10101) == 1

    async def test_a_bug_gives_a_reference_that_stands_in_the_log(
        self,
        slack: LocalSlack,
        billing: LocalBilling,
        listening: Listening,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Something that cannot happen happens: the person is told whom to ask, and what to say."""
        monkeypatch.delattr("bot.slack.commands.parse")
        body = command_body()
        headers = signed(slack.signing_secret, body)
        with structlog.testing.capture_logs() as logged:
            async with (
                aiohttp.ClientSession() as session,
                session.post(listening.url, data=body, headers=headers) as answer,
            ):
                assert answer.status == 200
                said = await answer.json()
        (line,) = [line for line in logged if line["event"] == "unexpected"]
        assert said["response_type"] == "ephemeral"
        assert f"reference {line['reference']}" in said["text"]
        assert "api_login" not in [call.operation for call in billing.log]
