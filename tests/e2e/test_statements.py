"""What one payment costs the database, from the command to the answer that is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.messages import Message
from tests import asked
from tests.fixture_types import QUICK, StartBot

SELDOM = replace(QUICK, poll=60.0, reconcile_first=timedelta(minutes=1), lease=timedelta(minutes=1))
"""So that nothing is asked but for the payment."""


def card(slack: LocalSlack, number: int) -> Message | None:
    """The card of an invoice, where it stands."""
    cards = (one for one in slack.messages("#payments") if str(number) in "\n".join(one.texts()))
    return next(cards, None)


def is_told(slack: LocalSlack, number: int) -> bool:
    shown = card(slack, number)
    if shown is None or "*Paid*" not in "\n".join(shown.texts()):
        return False
    return any("Paid" in reply.text for reply in shown.thread)


@pytest.mark.parametrize(("approvals", "most"), [("0", 58), ("1", 95)])
async def test_one_payment_asks_no_more_than_it_did(
    slack: LocalSlack, start_bot: StartBot, approvals: str, most: int
) -> None:
    """Every statement keeps somebody else who pays waiting: raise the number for a reason only.

    Without approvals it is two fewer where the card stands before the invoice was read.
    """
    bot = await start_bot(timing=SELDOM, PAY_APPROVALS_REQUIRED=approvals)
    for number in (10101, 10102):
        with asked.statements() as sent:
            await slack.person("alice").types("#payments", f"/pay vps {number}")
            if approvals != "0":
                shown = await slack.wait_for(partial(card, slack, number))
                assert shown is not None
                await slack.person("bob").clicks(shown, "payment_approve")
            await slack.wait_for(partial(is_told, slack, number))
        assert await bot.rest(10)
    # The first one loads what stays.
    assert len(sent) <= most
