"""What people do where a bot may die: when nothing came of it, they do it again, on what they see by then.

Each returns when the ledger has it and Slack showed no error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.domain.payment import Payment, State
from bot.ledger.store import Ledger
from bot.sandbox.local_slack.errors import NotSeen
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack import forms
from bot.slack.messages import APPROVE, CANCEL, DENY
from tests.faults.stage import Stage
from tests.slack.acting import text

SOON = 1.0
"""Seconds that somebody waits for a form or a view before they try again."""


async def approves(stage: Stage, person: str, channel: str = "payments") -> None:
    """Approve the payment on its card."""
    asked = await card(stage, channel)

    async def click() -> bool:
        return (await stage.slack.person(person).clicks(asked, APPROVE)).ok

    await _again(stage, click, _approved_by(stage, person))


async def approves_at_home(stage: Stage, person: str) -> None:
    """Approve the payment on the Home tab, be it out of date: it may have counted without an answer."""
    home: View | None = None

    async def click() -> bool:
        nonlocal home
        await stage.slack.person(person).opens_home()
        home = await _seen(stage, lambda: _with_button(stage.slack.home(person))) or home
        return home is not None and (await stage.slack.person(person).clicks(home, APPROVE)).ok

    await _again(stage, click, _approved_by(stage, person))


async def denies(stage: Stage, person: str, reason: str) -> None:
    """Deny the payment on its card, and say why in the form that opens."""
    asked = await card(stage)
    actor = stage.slack.person(person)

    async def fill_in() -> bool:
        form = _open_form(stage, person, forms.DENY)
        if form is None:
            await actor.clicks(asked, DENY)
            form = await _seen(stage, lambda: _open_form(stage, person, forms.DENY))
        return form is not None and (await actor.submits(form, text(forms.REASON, reason))).ok

    await _again(stage, fill_in, _in_state(State.DENIED))


async def takes_back(stage: Stage, person: str) -> None:
    """Take the payment back on its card."""
    asked = await card(stage)

    async def click() -> bool:
        return (await stage.slack.person(person).clicks(asked, CANCEL)).ok

    await _again(stage, click, _in_state(State.CANCELLED))


async def asks_in_the_form(stage: Stage, person: str, channel: str, module: str, number: int) -> None:
    """Type /pay alone, and fill in the form that opens; one that a dead bot opened serves as well."""
    actor = stage.slack.person(person)
    option = {"text": {"type": "plain_text", "text": module}, "value": module}
    picked = {forms.MODULE: {forms.MODULE: {"type": "static_select", "selected_option": option}}}

    async def fill_in() -> bool:
        form = _open_form(stage, person, forms.PAY)
        if form is None:
            await actor.types(channel, "/pay")
            form = await _seen(stage, lambda: _open_form(stage, person, forms.PAY))
        entered = picked | text(forms.NUMBER, str(number))
        return form is not None and (await actor.submits(form, entered)).ok

    async def asked(ledger: Ledger) -> bool:
        return await the_payment(ledger) is not None

    await _again(stage, fill_in, asked)
    stage.acknowledged.append((module, number))


async def the_payment(ledger: Ledger) -> Payment | None:
    """The newest one. It need not be #1: PostgreSQL gives the number of what was not committed to nobody."""
    return next(iter(await ledger.recent(limit=1)), None)


async def card(stage: Stage, channel: str = "payments") -> Message:
    """The first card of a channel, as it was posted: later it is out of date, as what people see may be."""
    await stage.happens(lambda: _cards(stage, channel), "a card")
    return _cards(stage, channel)[0]


def _cards(stage: Stage, channel: str) -> list[Message]:
    return [message for message in stage.slack.messages(channel) if message.bot_id]


def _open_form(stage: Stage, person: str, callback_id: str) -> View | None:
    return next((one for one in stage.slack.views(person) if one.callback_id == callback_id), None)


def _with_button(home: View | None) -> View | None:
    return home if home is not None and APPROVE in str(home.blocks) else None


async def _seen(stage: Stage, view: Callable[[], View | None]) -> View | None:
    try:
        return await stage.slack.wait_for(view, SOON)
    except NotSeen:
        return None


async def _again(
    stage: Stage, act: Callable[[], Awaitable[bool]], done: Callable[[Ledger], Awaitable[bool]]
) -> None:
    """Do it until it worked. act: whether Slack showed no error. done: whether the ledger has it."""
    for _ in range(100):
        if await act() and await done(await stage.ledger()):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"nothing came of it: {act.__qualname__}")


def _in_state(state: State) -> Callable[[Ledger], Awaitable[bool]]:
    async def done(ledger: Ledger) -> bool:
        payment = await the_payment(ledger)
        return payment is not None and payment.state is state

    return done


def _approved_by(stage: Stage, person: str) -> Callable[[Ledger], Awaitable[bool]]:
    async def done(ledger: Ledger) -> bool:
        payment = await the_payment(ledger)
        approvals = await ledger.approvals(payment.id) if payment is not None else ()
        return stage.slack.person(person).id in {one.approver for one in approvals}

    return done
