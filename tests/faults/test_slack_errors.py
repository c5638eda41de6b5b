"""Answers of Slack, and of what stands before it, that no list foresees: nobody loses a reply by them."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass

from bot.domain.payment import Payment, State
from bot.sandbox.local_slack.identifiers import ALICE
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import APPROVE
from tests.effort import LONG
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.installation import Installation
from tests.faults.invariants import check_invariants
from tests.faults.scenarios import WITH_APPROVAL
from tests.faults.slack_errors import drawn_fault, drawn_retry_after

CHANNELS = 40 if LONG else 12

SEED = os.environ.get("FAULTS_SEED", "1")

_POINTS = (None, "chat.postMessage", "chat.update")


@dataclass(frozen=True, slots=True)
class _Trouble:
    """One payment's: a fault that strikes twice, and at what, once its card stands; None: at the card."""

    number: int
    channel: str
    fault: str
    method: str | None
    retry_after: str

    def __str__(self) -> str:
        after = f", Retry-After {self.retry_after!r}" if self.fault == "429" else ""
        return f"vps {self.number}, {self.fault}{after} at {self.method or 'its card'}"

    def begin(self, installation: Installation) -> None:
        method = self.method or "chat.postMessage"
        # Where it is told in place of the thread is no safer.
        for channel in (self.channel, ALICE):
            installation.slack.fail(method, self.fault, 2, channel=channel, retry_after=self.retry_after)


async def test_no_word_that_a_gateway_says_costs_anybody_their_reply(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """Drawn statuses and words at the card, at its updates and at the replies: all is told in the end."""
    wrong = await asyncio.gather(*(_struck(installation_on, counts, database) for database in DATABASES))
    assert not (flaws := "\n".join(flaw for flaws in wrong for flaw in flaws)), flaws


async def _struck(installation_on: InstallationOn, counts: Counts, database: str) -> list[str]:
    """In every channel one payment, each with a trouble of its own at one of its steps."""
    chance = random.Random(f"{SEED} {database}")
    troubles = [
        _Trouble(
            20001 + place,
            f"payments-{place + 2}",
            "429" if place == 0 else drawn_fault(chance),
            _POINTS[place % len(_POINTS)],
            drawn_retry_after(chance),
        )
        for place in range(CHANNELS)
    ]
    async with installation_on(database, channels=CHANNELS + 1) as installation:
        await installation.start(settings=WITH_APPROVAL)
        wrong = [
            flaw for flaw in await asyncio.gather(*(_suffers(installation, one) for one in troubles)) if flaw
        ]
        try:
            await installation.rest(30, waiting=[State.PENDING_APPROVAL])
            found = await check_invariants(installation)
            wrong += found.wrong
            counts.add(found)
        except AssertionError as error:
            wrong.append(f"{type(error).__name__}: {error}")
        paid = await (await installation.ledger()).live("vps")
        wrong += [
            f"{one}: {flaw}" for one in troubles for flaw in _lacking(installation, one, paid.get(one.number))
        ]
    return [f"FAULTS_SEED={SEED}: {database}: {flaw}" for flaw in wrong]


def _lacking(installation: Installation, trouble: _Trouble, payment: Payment | None) -> list[str]:
    """What trouble that passed has left wanting all the same."""
    if payment is None or payment.state is not State.PAID:
        return ["it was not paid"]
    cards = installation.slack.messages(trouble.channel)
    flaws = []
    if f"Invoice {trouble.number} Successful" not in str(
        [one.texts() for card in cards for one in card.thread]
    ):
        flaws.append("the thread does not say that it was paid")
    if any(APPROVE in card.action_ids() for card in cards):
        flaws.append("its card has kept its buttons")
    return flaws


async def _suffers(installation: Installation, trouble: _Trouble) -> str | None:
    """Ask, and approve once the card stands. What is wrong with that."""

    def cards() -> list[Message]:
        return [one for one in installation.slack.messages(trouble.channel) if APPROVE in one.action_ids()]

    installation.billing.add_invoice("vps", trouble.number)
    if trouble.method is None:
        trouble.begin(installation)
    await installation.asks("alice", trouble.channel, "vps", trouble.number)
    try:
        await installation.happens(cards, "its card")
    except AssertionError:
        return f"{trouble}: no card came"
    if trouble.method is not None:
        trouble.begin(installation)
    await installation.slack.person("bob").clicks(cards()[0], APPROVE)
    return None
