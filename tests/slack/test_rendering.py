"""What cannot be put into words, or is refused for how it was said, is told all the same."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, update

from bot import app
from bot.ledger.rows import Event, Kind
from bot.ledger.schema import deliveries
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message
from bot.slack import event_text, rendering
from tests.fixture_types import StartBot
from tests.ledger.making import happened
from tests.slack.acting import ANSWER, approve, at_rest, card, direct, pay, thread, when_paying
from tests.slack.gateway import Gateway


class TestWords:
    """An event of a newer version after a roll-back, one without what its words need, a bug."""

    def reference(self, logs: list[Any]) -> str:
        """The one that stands in the log."""
        (entry,) = [each for each in logs if "cannot be put into words" in each["event"]]
        assert (entry["log_level"], entry["payment"]) == ("error", "#1")
        assert entry["exc_info"]
        return str(entry["reference"])

    @pytest.mark.parametrize(
        ("action", "detail"),
        [
            ("refunded by a newer version", {}),
            ("denied", {}),
            ("held", {}),
            ("reconciled", {"evidence": "none"}),
        ],
    )
    async def test_an_event_without_words_is_told_in_a_plain_line(
        self, slack: LocalSlack, start_bot: StartBot, logs: list[Any], action: str, detail: dict[str, Any]
    ) -> None:
        """It names the payment, its state and the reference in the log; what comes after it is told too."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        async with bot.ledger.transaction() as transaction:
            payment = await transaction.payment(1)
            assert payment is not None
            event_id = await transaction.record(happened(action, **detail), actor="U2", payment=payment)
            await transaction.announce_in_thread(payment, event_id)
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        plain, approved, *_, last = thread(slack)
        assert plain.startswith("#1 · vps invoice 10101: ")
        assert f"reference {self.reference(logs)}" in plain
        assert "Approved by" in approved
        assert ANSWER in last

    async def test_the_api_s_words_are_not_lost_with_ours(
        self, slack: LocalSlack, bot: app.Bot, logs: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the billing API said is in the plain line as well: it is what everybody waits for."""

        def broken(*_: object) -> Message:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(event_text, "_answered", broken)
        await pay(slack)
        await at_rest(bot)
        (reply,) = thread(slack)
        assert "#1 · vps invoice 10101: Paid. The billing API says: " + ANSWER in reply
        assert f"reference {self.reference(logs)}" in reply

    async def test_what_a_failover_lost_is_told_in_no_line_at_all(
        self, slack: LocalSlack, bot: app.Bot, logs: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It did not happen, by the ledger as it is now, although it was read a moment before."""
        read = bot.ledger.event

        async def lost(event_id: int) -> Event:
            async with bot.ledger.transaction() as transaction:
                its = deliveries.c.event_id == event_id
                await transaction._connection.execute(delete(deliveries).where(its))
            await read(event_id)
            raise IndexError("it is not there")

        monkeypatch.setattr(bot.ledger, "event", lost)
        await pay(slack)
        await at_rest(bot)
        assert thread(slack) == []
        assert not [each for each in logs if each["log_level"] == "error"]

    async def test_a_card_without_words_is_a_plain_line_too(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The payment goes on: it can be seen."""

        def broken(*_: object) -> Message:
            raise KeyError("a bug")

        monkeypatch.setattr(rendering, "request_card", broken)
        await pay(slack)
        await at_rest(bot)
        (root,) = slack.messages("#payments")
        assert root.text.startswith("#1 · vps invoice 10101: Paid.")
        assert any(ANSWER in reply.text for reply in root.thread)
        assert billing.payments_made("vps", 10101) == 1

    async def test_a_delivery_of_a_kind_that_nobody_knows_holds_up_nothing(
        self, slack: LocalSlack, bot: app.Bot
    ) -> None:
        """A newer version wrote it; that version tells it when it is back."""
        await pay(slack)
        await at_rest(bot)
        async with bot.ledger.transaction() as transaction:
            payment = await transaction.payment(1)
            assert payment is not None
            await transaction.outbox.add(payment.request, Kind.INVITATION, channel=ids.BOB)
            await transaction._connection.execute(
                update(deliveries).where(deliveries.c.kind == "invitation").values(kind="telegram")
            )
        await pay(slack, text="vps 10102")
        await slack.wait_for(lambda: len(slack.messages("#payments")) == 2 and thread(slack))
        assert not bot.broken.is_set()

    @pytest.mark.parametrize("word", ["msg_too_long", "invalid_arguments", "invalid_metadata_schema"])
    async def test_words_that_slack_refuses_are_told_in_a_plain_line(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, word: str
    ) -> None:
        """First without blocks, then plainly: nobody goes without because of how it was said."""
        when_paying(billing, lambda: slack.fail("chat.postMessage", f"error:{word}", times=2))
        await pay(slack)
        await at_rest(bot)
        (reply,) = thread(slack)
        assert reply.startswith(f"#1 · vps invoice 10101: Paid. The billing API says: {ANSWER}")

    async def test_a_card_whose_blocks_slack_refuses_loses_its_buttons_all_the_same(
        self, slack: LocalSlack, start_bot: StartBot
    ) -> None:
        """Slack keeps the blocks of a message that is changed without any, so they are taken away."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        slack.fail("chat.update", "error:invalid_blocks", times=1)
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        updates = [call.arguments for call in slack.calls if call.method == "chat.update"]
        assert all("blocks" in one for one in updates)
        assert "*Paid*" in "\n".join(card(slack).texts()) or card(slack).text.endswith("Paid")


class TestRefusedContent:
    """A bug of ours must not cost anybody the reply."""

    async def test_blocks_that_slack_refuses_do_not_cost_anybody_the_reply(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """A bug of ours: the text alone says the same."""
        when_paying(billing, lambda: slack.fail("chat.postMessage", "error:invalid_blocks", times=1))
        await pay(slack)
        await at_rest(bot)
        (reply,) = card(slack).thread
        assert reply.blocks == []
        assert ANSWER in reply.text

    async def test_metadata_that_slack_refuses_does_not_cost_anybody_the_reply(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """It only serves to find the reply again; the last way to say it goes without."""
        bot = await start_bot(SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        gateway.refuses_metadata = True
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        assert any(ANSWER in reply for reply in thread(slack))
        assert direct(slack) == []
