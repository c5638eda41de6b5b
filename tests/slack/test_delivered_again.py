"""What Slack delivers once more, minutes after it was answered with a no: nothing comes of it any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot import app
from bot.domain.payment import InvoiceRef, State
from bot.errors import DirectoryError
from bot.payments.answers import Done
from bot.payments.authority import Authority, Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.views import View
from bot.slack.blocks import button
from bot.slack.card import ASK_AGAIN, WAS_PAID, value_of
from bot.slack.pay_form_view import NUMBERS
from bot.slack.preview import CONFIRM
from tests.fixture_types import StartBot
from tests.slack.acting import approve, asks, at_rest, card, costs_by_now, deny, request, state_of, text, told
from tests.slack.filling import choose_module, opened
from tests.slack.test_home import hurried, sees
from tests.slack.test_preview import newest
from tests.slack.test_resolutions import unknown
from tests.slack.test_selection import asked as asked_about
from tests.slack.test_selection import selects, yes

__all__ = ["hurried"]

Again = Callable[[], Awaitable[Any]]
"""Delivers once more what was delivered last, and returns what it is acknowledged with."""

BOTH: dict[str, Any] = {"PAY_ALLOWED_USERS": f"{ids.ALICE},{ids.BOB}", "PAY_APPROVALS_REQUIRED": "1"}


@pytest.fixture
def again(slack: LocalSlack, monkeypatch: pytest.MonkeyPatch) -> Again:
    delivery, delivered = slack._delivery, list[Any]()
    deliver = delivery.deliver

    async def noted(*what: Any) -> Any:
        delivered.append(what)
        return await deliver(*what)

    monkeypatch.setattr(delivery, "deliver", noted)
    return lambda: deliver(*delivered[-1])


async def withdraw(bot: app.Bot, number: int = 1) -> None:
    """Bob takes back what he asked for."""
    bob = Person(ids.BOB, bot.services.workspace.team)
    assert isinstance(await bot.services.desk.withdraw(bob, number), Done)


async def requested_by_alice(bot: app.Bot) -> list[InvoiceRef]:
    await at_rest(bot)
    mine = await bot.ledger.recent(requester=ids.ALICE)
    return [one.ref for batch in mine for one in batch.payments]


async def says_nothing(*_: object) -> None:
    """Slack, asked about people."""
    raise DirectoryError("Slack does not say")


async def selecting(slack: LocalSlack) -> View:
    """Bob selected the first of two requests on his Home tab, and is asked once more."""
    await slack.person("bob").opens_home()
    await sees(slack, "bob", "vps invoice 10101", "Approve selected…")
    return await asked_about(slack, await selects(slack, 1))


async def test_a_command(slack: LocalSlack, start_bot: StartBot, again: Again) -> None:
    """The invoice was requested already, and is free by now."""
    bot = await start_bot(**BOTH)
    await request(slack, bot, by="bob")
    await request(slack, bot)
    await withdraw(bot)
    answer = await again()
    assert "Nothing was done when it came first, and nothing is done now." in answer["text"]
    assert await requested_by_alice(bot) == []
    await request(slack, bot)
    assert await requested_by_alice(bot) == [InvoiceRef("vps", 10101)]


async def test_a_form(slack: LocalSlack, start_bot: StartBot, again: Again) -> None:
    """It stays open with what is wrong, and can be sent again by the person."""
    bot = await start_bot(**BOTH)
    await request(slack, bot, by="bob")
    await slack.person("alice").types("#payments", "/pay")
    view = await choose_module(slack, await opened(slack), "vps")
    typed = text(NUMBERS, "10101")
    assert "already requested" in (await slack.person("alice").submits(view, typed)).errors[NUMBERS]
    await withdraw(bot)
    answer = await again()
    assert "nothing is done now" in str(answer["errors"])
    assert await requested_by_alice(bot) == []
    assert (await slack.person("alice").submits(view, typed)).ok
    assert await requested_by_alice(bot) == [InvoiceRef("vps", 10101)]


async def test_the_button_of_a_preview(slack: LocalSlack, start_bot: StartBot, again: Again) -> None:
    """Of two invoices both were requested between the preview and the click."""
    bot = await start_bot(**BOTH)
    await asks(slack, "vps 10101 10102")
    for ref in ("vps 10101", "vps 10102"):
        await request(slack, bot, ref, by="bob")
    assert (await slack.person("alice").clicks(newest(slack), CONFIRM)).ok
    await withdraw(bot)
    await withdraw(bot, 2)
    await again()
    assert await requested_by_alice(bot) == []


async def test_ask_again(slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, again: Again) -> None:
    """What costs something else was shown first; it costs what the card says by now."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    await deny(slack, card(slack), "bob", "not now")
    await at_rest(bot)
    costs_by_now(bot, billing, 9000.0)
    assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
    assert "Nothing is requested yet" in await told(slack, "alice")
    costs_by_now(bot, billing, 10.0)
    await again()
    await at_rest(bot)
    assert [one.first.state for one in await bot.ledger.recent()] == [State.DENIED]


async def test_ask_again_while_it_is_under_way(slack: LocalSlack, start_bot: StartBot, again: Again) -> None:
    """Its card showed what was not so any more; what it is about has ended since."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    old = await request(slack, bot)
    first = await bot.ledger.of_request(1)
    assert first is not None
    stale = [button(ASK_AGAIN, "Ask again", value_of(first.request))]
    slack.world.update(
        old, blocks=[{"type": "actions", "block_id": "again", "elements": stale}], text=old.text
    )
    assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
    assert "Nothing was done" in await told(slack, "alice")
    bob = Person(ids.BOB, bot.services.workspace.team)
    assert isinstance(await bot.services.desk.deny(bob, 1, "not now"), Done)
    await again()
    await at_rest(bot)
    assert [one.first.state for one in await bot.ledger.recent()] == [State.DENIED]


async def test_a_resumption(slack: LocalSlack, start_bot: StartBot, again: Again) -> None:
    """Sending was not paused when it was typed; somebody paused it since."""
    bot = await start_bot(**BOTH)
    assert (await slack.person("bob").types("#payments", "/pay resume")).ok
    bob = Person(ids.BOB, bot.services.workspace.team)
    await bot.services.desk.pause(bob, "the wrong account", trigger_id="1.1")
    answer = await again()
    assert "nothing is done now" in answer["text"]
    assert await bot.ledger.paused() is not None


@pytest.mark.parametrize("selected", [False, True])
async def test_an_approval(
    slack: LocalSlack, start_bot: StartBot, again: Again, monkeypatch: pytest.MonkeyPatch, *, selected: bool
) -> None:
    """By a click on the card, or on the Home tab for all that is selected; Slack did not say who may."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    await request(slack, bot, "vps 10102")
    question = await selecting(slack) if selected else None
    with monkeypatch.context() as patched:
        patched.setattr(Authority, "rule_of", says_nothing)
        if question is None:
            assert (await approve(slack, asked, "bob")).ok
            assert "Slack did not say in time" in await told(slack, "bob")
        else:
            assert (await yes(slack, question)).ok
    await again()
    await at_rest(bot)
    assert await bot.ledger.approvers(1) == []
    assert (await approve(slack, asked, "bob")).ok
    await at_rest(bot)
    assert await bot.ledger.approvers(1) == [ids.BOB]


async def test_a_settling(
    slack: LocalSlack,
    billing: LocalBilling,
    bot: app.Bot,
    again: Again,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the form; Slack did not say whether they may."""
    asked = await unknown(slack, billing, bot)
    assert (await slack.person("bob").clicks(asked, WAS_PAID)).ok
    form = (await slack.wait_for(lambda: slack.views("bob")))[-1]
    with monkeypatch.context() as patched:
        patched.setattr(Authority, "may_approve", says_nothing)
        entered = text("how", "seen")
        assert "did not say" in str((await slack.person("bob").submits(form, entered)).errors)
    await again()
    assert await state_of(bot) is State.UNKNOWN
    assert (await slack.person("bob").submits(form, entered)).ok
    assert await state_of(bot) is State.PAID
