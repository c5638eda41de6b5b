"""A ledger that was set back, to an older backup or by a failover: Slack shows more than it knows of."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from bot import app
from bot.domain.batch import Batch
from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import APPROVE
from bot.slack.decisions import Clicked
from tests.fixture_types import QUICK, NewDatabase, NewSettings, StartBot
from tests.slack.acting import approve, at_rest, card, pay, press_deny, request, shown, text, told, withdraw


@pytest.fixture
async def forgotten(
    slack: LocalSlack, billing: LocalBilling, settings: NewSettings, new_sqlite: NewDatabase
) -> Message:
    """The card of a request #1 that the ledger knows nothing of: vps 10101, asked for by Alice."""
    billing.add_invoice("vps", 10102, amount=10.0)
    url = new_sqlite(migrated=True)  # copied from the same ledger as the one that follows
    async with app.running(settings(LEDGER_URL=url, PAY_APPROVALS_REQUIRED="1"), timing=QUICK) as bot:
        found = await request(slack, bot)
    return found


async def test_the_buttons_of_a_forgotten_request_decide_on_no_other_that_has_its_number(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, forgotten: Message
) -> None:
    """Of another invoice and the same price: nobody approves, denies or takes back what they did not see."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    new = await request(slack, bot, "vps 10102")
    assert "#1 · vps invoice 10102 · 10.00 USD" in shown(new)
    assert (await approve(slack, forgotten, "bob")).ok
    assert (await press_deny(slack, forgotten, "bob")).ok
    assert (await withdraw(slack, forgotten, "alice")).ok
    await at_rest(bot)
    assert slack.views("bob") == []
    assert await bot.ledger.by_state() == {State.PENDING_APPROVAL: 1}
    assert await bot.ledger.approvers(1) == []
    for person in ("bob", "alice"):
        assert "is another request now than the one that you see" in await told(slack, person)
    assert (await approve(slack, new, "bob")).ok
    await at_rest(bot)
    assert billing.payments_made("vps", 10102) == 1
    assert billing.payments_received("vps", 10101) == 0


async def test_the_reason_for_denying_a_forgotten_request_denies_no_other(
    slack: LocalSlack, settings: NewSettings, start_bot: StartBot, new_sqlite: NewDatabase
) -> None:
    """The form was open when the ledger was set back."""
    url = new_sqlite(migrated=True)
    async with app.running(settings(LEDGER_URL=url, PAY_APPROVALS_REQUIRED="1"), timing=QUICK) as before:
        assert (await press_deny(slack, await request(slack, before), "bob")).ok
        (form,) = await slack.wait_for(lambda: slack.views("bob"))
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot, "vps 10102")
    result = await slack.person("bob").submits(form, text("reason", "no"))
    assert result.ok
    assert await bot.ledger.by_state() == {State.PENDING_APPROVAL: 1}


@pytest.mark.parametrize("mode", ["drop-before", "drop-after"])
async def test_a_message_of_a_forgotten_request_is_not_taken_for_one_that_was_lost(
    slack: LocalSlack, start_bot: StartBot, forgotten: Message, mode: str
) -> None:
    """Both are the first that the ledger knows of; the card is posted all the same, and once."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    slack.fail("chat.postMessage", mode, times=1)
    new = await request(slack, bot, "vps 10102")
    assert new.ts != forgotten.ts
    assert "vps invoice 10102" in shown(new)
    assert APPROVE in new.action_ids()
    assert [one.ts for one in slack.messages("#payments") if one.metadata] == [forgotten.ts, card(slack).ts]
    assert "vps invoice 10101" in shown(slack.messages("#payments")[0])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("42", Clicked(42, None, None)),
        ("42 10.00 USD", Clicked(42, None, "10.00 USD")),
        ("42:20260302T090000.000001", Clicked(42, "20260302T090000.000001", None)),
        ("42:20260302T090000.000001 unknown", Clicked(42, "20260302T090000.000001", "unknown")),
    ],
)
def test_the_buttons_of_earlier_versions_can_be_clicked(value: str, read: Clicked) -> None:
    """They stand in Slack for as long as their requests wait, and told less."""
    assert Clicked.read(value) == read


async def test_what_a_ledger_forgets_while_it_is_told_is_left_and_the_others_are_told(
    slack: LocalSlack, bot: app.Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover comes between the claim of a message and the look at its request."""
    read = bot.ledger.of_request

    async def after_the_failover(request_id: int) -> Batch | None:
        return None if request_id == 1 else await read(request_id)

    monkeypatch.setattr(bot.ledger, "of_request", after_the_failover)
    with capture_logs() as logged:
        await pay(slack, "vps 10101")
        await pay(slack, "vps 10102")
        await slack.wait_for(lambda: [one for one in slack.messages("#payments") if "10102" in one.text])
    assert any("left untold" in one["event"] for one in logged)
    assert [one for one in logged if one["log_level"] == "error"] == []
