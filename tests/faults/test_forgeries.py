"""Somebody writes into the database past the bot: nothing is sent for that, and the audit says so."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from bot.domain.payment import State
from bot.sandbox.local_slack.errors import NotThere
from bot.slack.card import APPROVE
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.forgeries import (
    ANOTHER_AMOUNT,
    ANOTHER_INVOICE,
    ANOTHER_REQUESTER,
    APPROVAL_FORGED,
    FORGERIES,
    NONE_NEEDED,
    PAID_CANCELLED,
    Forgery,
    undetected,
)
from tests.faults.installation import Installation

EVERYBODY = {"PAY_APPROVERS": "U0ALICE001,U0BOB00001,U0CAROL001", "PAY_APPROVALS_REQUIRED": "1"}

LIVED_OFF: tuple[tuple[Forgery, str | None], ...] = (
    (APPROVAL_FORGED, None),
    (NONE_NEEDED, None),
    (ANOTHER_REQUESTER, "alice"),
    (ANOTHER_AMOUNT, "bob"),
    (ANOTHER_INVOICE, "bob"),
    (PAID_CANCELLED, "bob"),
)
"""Each forgery, and who presses Approve afterwards. The real requester is always Alice."""

HONEST = 20901


async def test_nothing_is_sent_for_what_was_forged_and_the_audit_gives_it_away(
    installation_on: InstallationOn,
) -> None:
    """Approvals, states, amounts, requesters and invoices written past the bot, while it is stopped."""
    wrong = await asyncio.gather(*(_forged(installation_on, database) for database in DATABASES))
    assert not (flaws := "\n".join(flaw for flaws in wrong for flaw in flaws)), flaws


async def _forged(installation_on: InstallationOn, database: str) -> list[str]:
    async with installation_on(database, channels=len(LIVED_OFF) + 1) as installation:
        try:
            await installation.start(settings=EVERYBODY)
            for place, (forgery, _) in enumerate(LIVED_OFF):
                await _asks_for(installation, _channel(place), 20001 + place)
                if forgery.of is State.PAID:
                    await _approves(installation, "bob", _channel(place))
            await installation.rest(waiting=[State.PENDING_APPROVAL])
            await installation.stop_all()
            wrong = await undetected(installation, FORGERIES)
            wrong += await _lived_off(installation)
        except (AssertionError, TimeoutError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
    return [f"{database}: {flaw}" for flaw in wrong]


async def _lived_off(installation: Installation) -> list[str]:
    """Forge all at once, let the bot run, and do what the forger is after. What was sent by that."""
    installation.billing.add_invoice("vps", 20999)
    before = len(_sent(installation))
    async with installation.writing() as connection:
        for place, (forgery, _) in enumerate(LIVED_OFF):
            await forgery.write(connection, place + 1)
    await installation.start(settings=EVERYBODY)
    for honest in (HONEST, HONEST + 1):
        if honest != HONEST:
            installation.billing.fail("unreadable")  # where it cannot be seen that something was paid
        for place, (forgery, presses) in enumerate(LIVED_OFF):
            if forgery.of is State.PAID:
                await installation.types("alice", _channel(place), f"/pay vps {20001 + place}")
                await _card_to_decide_on(installation, _channel(place))
            if presses is not None:
                await _presses(installation, presses, _channel(place))
        await asyncio.sleep(0.5)  # time enough to send it, if anything is wrong
        installation.billing.heal()
        # What is due earlier is taken up earlier: when this is paid, the forged ones have had their turn.
        await _asks_for(installation, "payments", honest)
        await _approves(installation, "bob", "payments")
        await installation.happens(
            lambda: installation.billing.payments_made("vps", honest),  # noqa: B023
            "the honest one is paid",
        )
    names = {20001 + place: forgery.name for place, (forgery, _) in enumerate(LIVED_OFF)} | {
        20999: ANOTHER_INVOICE.name
    }
    sent = [number for number in _sent(installation)[before:] if number not in (HONEST, HONEST + 1)]
    return [f"vps {number} was sent on {names[number]}" for number in sent]


def _channel(place: int) -> str:
    return f"payments-{place + 2}"


def _sent(installation: Installation) -> list[int]:
    return [call.invoice for call in installation.billing.log if call.invoice is not None]


async def _asks_for(installation: Installation, channel: str, number: int) -> None:
    installation.billing.add_invoice("vps", number)
    known = len(installation.slack.messages(channel))
    await installation.types("alice", channel, f"/pay vps {number}")
    await installation.happens(lambda: len(installation.slack.messages(channel)) > known, "its card")


async def _approves(installation: Installation, person: str, channel: str) -> None:
    """Approve the newest payment of a channel, and wait until it is sent."""
    sent = len(_sent(installation))
    await _presses(installation, person, channel)
    await installation.happens(lambda: len(_sent(installation)) > sent, "it is sent")


async def _card_to_decide_on(installation: Installation, channel: str) -> None:
    """Wait for one, in vain where there will be none."""
    for _ in range(10):
        if any(APPROVE in card.action_ids() for card in installation.slack.messages(channel)):
            return
        await asyncio.sleep(0.1)


async def _presses(installation: Installation, person: str, channel: str) -> None:
    """Press Approve wherever it stands in a channel."""
    for card in installation.slack.messages(channel):
        if APPROVE in card.action_ids():
            with suppress(NotThere):
                await installation.slack.person(person).clicks(card, APPROVE)
