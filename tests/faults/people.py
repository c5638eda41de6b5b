"""What people do where a bot may die: when nothing came of it, they do it again, on what they see by then.

Each returns when the ledger has it and Slack showed no error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from bot.domain.payment import InvoiceRef, Payment, State
from bot.ledger.store import Ledger
from bot.sandbox.local_slack.errors import NotSeen, NotThere
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack import decisions, pay_form_view, removal
from bot.slack.card import APPROVE, DENY, REMOVE, WITHDRAW
from bot.slack.preview import CONFIRM
from tests.faults.installation import Installation
from tests.slack.acting import chosen, text

SOON = 1.0
"""Seconds that somebody waits for a form or a view before they try again."""


async def approves(installation: Installation, person: str, channel: str = "payments") -> None:
    """Approve the payment on its card."""
    asked = await card(installation, channel)

    async def click() -> bool:
        return (await installation.slack.person(person).clicks(asked, APPROVE)).ok

    await _again(installation, click, _approved_by(installation, person))


async def approves_at_home(installation: Installation, person: str) -> None:
    """Approve the payment on the Home tab, be it out of date: it may have counted without an answer."""
    home: View | None = None

    async def click() -> bool:
        nonlocal home
        await installation.slack.person(person).opens_home()
        home = await _seen(installation, lambda: _with_button(installation.slack.home(person))) or home
        return home is not None and (await installation.slack.person(person).clicks(home, APPROVE)).ok

    await _again(installation, click, _approved_by(installation, person))


async def denies(installation: Installation, person: str, reason: str) -> None:
    """Deny the payment on its card, and say why in the form that opens."""
    asked = await card(installation)
    actor = installation.slack.person(person)

    async def fill_in() -> bool:
        form = _open_form(installation, person, decisions.DENY_FORM)
        if form is None:
            await actor.clicks(asked, DENY)
            form = await _seen(installation, lambda: _open_form(installation, person, decisions.DENY_FORM))
        return form is not None and (await actor.submits(form, text(decisions.REASON, reason))).ok

    await _again(installation, fill_in, _in_state(State.DENIED))


async def takes_back(installation: Installation, person: str) -> None:
    """Take the payment back on its card."""
    asked = await card(installation)

    async def click() -> bool:
        return (await installation.slack.person(person).clicks(asked, WITHDRAW)).ok

    await _again(installation, click, _in_state(State.CANCELLED))


async def asks_in_the_form(
    installation: Installation, person: str, channel: str, module: str, number: int
) -> None:
    """Type /pay alone, and fill in the form that opens; one that a dead bot opened serves as well."""
    actor = installation.slack.person(person)
    option = {"text": {"type": "plain_text", "text": module}, "value": module}
    chosen = {"type": "multi_static_select", "selected_options": [option]}
    picked = {pay_form_view.MODULES: {pay_form_view.MODULES: chosen}}

    async def fill_in() -> bool:
        form = _open_form(installation, person, pay_form_view.PAY_FORM)
        if form is None:
            await actor.types(channel, "/pay")
            form = await _seen(installation, lambda: _open_form(installation, person, pay_form_view.PAY_FORM))
        entered = picked | text(pay_form_view.NUMBERS, str(number))
        return form is not None and (await actor.submits(form, entered)).ok

    async def asked(ledger: Ledger) -> bool:
        return await the_payment(ledger) is not None

    await _again(installation, fill_in, asked)
    installation.acknowledged.append((module, number))


async def asks_for_several(
    installation: Installation, person: str, channel: str, refs: Sequence[InvoiceRef]
) -> None:
    """Type them, look at what is shown before, and press its button; both again when nothing came of it."""
    actor = installation.slack.person(person)

    async def confirm() -> bool:
        if not (shown := previews(installation, person)):
            if any("Requested: " in one.text for one in installation.slack.ephemerals(person)):
                return True  # told by who died before Slack had its acknowledgement
            await actor.types(channel, f"/pay {' '.join(map(str, refs))}")
            with suppress(NotSeen):
                await installation.slack.wait_for(lambda: previews(installation, person), SOON)
            shown = previews(installation, person)
        with suppress(NotThere):  # the answer of the click before took its place
            return bool(shown) and (await actor.clicks(shown[-1], CONFIRM)).ok
        return True

    async def asked(ledger: Ledger) -> bool:
        payment = await the_payment(ledger)
        return payment is not None and payment.request.size == len(refs)

    await _again(installation, confirm, asked)
    installation.acknowledged += [(ref.module, ref.number) for ref in refs]


def previews(installation: Installation, person: str) -> list[Message]:
    """What this person is shown that can be confirmed, the newest last."""
    return [one for one in installation.slack.ephemerals(person) if CONFIRM in one.action_ids()]


async def takes_out(installation: Installation, person: str, ref: InvoiceRef) -> None:
    """Take it out of the request on its card, in the form that opens."""
    await card(installation)
    actor = installation.slack.person(person)

    async def fill_in() -> bool:
        form = _open_form(installation, person, removal.REMOVE_FORM)
        if form is None:
            shown = _cards(installation, "payments")[0]
            if REMOVE in shown.action_ids():
                await actor.clicks(shown, REMOVE)
            form = await _seen(installation, lambda: _open_form(installation, person, removal.REMOVE_FORM))
        entered = chosen(removal.WHICH, ref) | text(removal.REASON, "not ours")
        return form is not None and (await actor.submits(form, entered)).ok

    async def taken_out(ledger: Ledger) -> bool:
        batch = next(iter(await ledger.recent(limit=1)), None)
        return batch is not None and any(one.ref == ref for one in batch.within((State.CANCELLED,)))

    await _again(installation, fill_in, taken_out)


async def approves_as_shown(installation: Installation, person: str) -> None:
    """Approve on the card as it is by then: what it costs may have changed since it was posted."""
    await card(installation)

    async def click() -> bool:
        shown = _cards(installation, "payments")[0]
        return (
            APPROVE not in shown.action_ids()
            or (await installation.slack.person(person).clicks(shown, APPROVE)).ok
        )

    await _again(installation, click, _approved_by(installation, person))


async def the_payment(ledger: Ledger) -> Payment | None:
    """The newest one. It need not be #1: PostgreSQL gives the number of what was not committed to nobody."""
    latest = await ledger.recent(limit=1)
    return latest[0].first if latest else None


async def card(installation: Installation, channel: str = "payments") -> Message:
    """The first card of a channel, as it was posted: later it is out of date, as what people see may be."""
    await installation.happens(lambda: _cards(installation, channel), "a card")
    return _cards(installation, channel)[0]


def _cards(installation: Installation, channel: str) -> list[Message]:
    return [message for message in installation.slack.messages(channel) if message.bot_id]


def _open_form(installation: Installation, person: str, callback_id: str) -> View | None:
    return next((one for one in installation.slack.views(person) if one.callback_id == callback_id), None)


def _with_button(home: View | None) -> View | None:
    return home if home is not None and APPROVE in str(home.blocks) else None


async def _seen(installation: Installation, view: Callable[[], View | None]) -> View | None:
    try:
        return await installation.slack.wait_for(view, SOON)
    except NotSeen:
        return None


async def _again(
    installation: Installation, act: Callable[[], Awaitable[bool]], done: Callable[[Ledger], Awaitable[bool]]
) -> None:
    """Do it until it worked. act: whether Slack showed no error. done: whether the ledger has it."""
    for _ in range(100):
        if await act() and await done(await installation.ledger()):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"nothing came of it: {act.__qualname__}")


def _in_state(state: State) -> Callable[[Ledger], Awaitable[bool]]:
    async def done(ledger: Ledger) -> bool:
        payment = await the_payment(ledger)
        return payment is not None and payment.state is state

    return done


def _approved_by(installation: Installation, person: str) -> Callable[[Ledger], Awaitable[bool]]:
    async def done(ledger: Ledger) -> bool:
        payment = await the_payment(ledger)
        approvers = await ledger.approvers(payment.request.id) if payment is not None else ()
        return installation.slack.person(person).id in approvers

    return done
