"""Every way in which the local billing API can fail, through the whole bot: what people then see in Slack.

What the billing client makes of each stands in tests/billing/failure_modes.py; here is what differs.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bot import app, config
from bot.domain.payment import InvoiceRef, State, Verdict
from bot.sandbox.local_billing import FAILURES, LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.pace import Pace
from tests.billing.failure_modes import EXPECTED, NO_ANSWER
from tests.fixture_types import QUICK, environment_of
from tests.slack.acting import card, shown

PAID, DECLINED, NOT_SENT, UNKNOWN = State.PAID, State.DECLINED, State.NOT_SENT, State.UNKNOWN
CANCELLED = State.CANCELLED
HELD = State.APPROVED
"""Nothing is sent until the invoice can be read."""

Case = tuple[str, str]
"""When the failure begins, and its mode."""

OPEN = "over an open session"
START = "from the start"

WIDE = [mode for mode, failure in FAILURES.items() if failure.on != "api_make_payment"]
"""The modes that concern more than the payment itself."""

CASES: list[Case] = [(OPEN, mode) for mode in FAILURES] + [(START, mode) for mode in WIDE]

DIFFERS: dict[Case, tuple[State, int]] = {
    # The look-up finds the session dead and logs in anew, so the payment has a good one.
    (OPEN, "session-expired"): (PAID, 1),
    (OPEN, "unreadable"): (HELD, 0),
    (OPEN, "down"): (HELD, 0),
    (OPEN, "slow"): (HELD, 0),
    (OPEN, "stall"): (HELD, 0),
    (START, "unpayable"): (CANCELLED, 0),
}
"""Where the whole bot does not come to what its billing client alone does."""


def expected(when: str, mode: str) -> tuple[State, int]:
    """The state it leads to, and how often the invoice was really paid."""
    client = EXPECTED[mode]
    if (when, mode) in DIFFERS:
        return DIFFERS[when, mode]
    if when == OPEN:
        return client.payment.state, client.made
    return (PAID, 1) if client.first is Verdict.PAID else (HELD, 0)


UNTOLD = {(OPEN, mode) for mode in ("unreadable", "down", "slow", "stall")} | {
    (START, mode) for mode in WIDE if mode not in ("session-expired", "unpayable")
}
"""Where the invoice cannot be read, so that its amount is not told."""

SAYS = {
    PAID: "Paid",
    DECLINED: "Declined; nothing was paid",
    NOT_SENT: "Not sent; will be tried again",
    CANCELLED: "Cancelled",
    HELD: "Approved",
    UNKNOWN: "Unknown; do not pay it again",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was left when the payment had come to rest.

    card, thread: all that can be read there. number: as in #42.
    acknowledged: seconds. received, made: calls of api_make_payment, and those that took effect.
    """

    state: State
    card: str
    thread: list[str]
    acknowledged: float
    received: int
    made: int
    number: str
    invoice: int
    password: str


Outcomes = dict[Case, Seen | BaseException]


class Installations:
    """Makes pairs of a local Slack and a local billing API, with a bot."""

    def __init__(self, migrated: Path, folder: Path) -> None:
        self._migrated = migrated
        self._folder = folder
        self._numbers = itertools.count()
        # Alembic keeps what it migrates in globals.
        self._starting = asyncio.Lock()

    @asynccontextmanager
    async def one(
        self, patience: float, failing: str | None = None
    ) -> AsyncIterator[tuple[LocalSlack, LocalBilling, app.Bot]]:
        """One of each. patience: seconds for the billing API. failing: the mode to begin with."""
        ledger = self._folder / f"{next(self._numbers)}.db"
        shutil.copy(self._migrated, ledger)
        hour = timedelta(hours=1)
        timing = replace(
            QUICK, look_up=patience, reconcile_first=hour, not_sent=(hour,) * 3, lease=hour, poll=0.5
        )
        async with AsyncExitStack() as stack:
            billing = LocalBilling()
            await billing.start()
            stack.push_async_callback(billing.stop)
            slack = await stack.enter_async_context(LocalSlack())
            if failing:
                billing.fail(failing)
            environment = environment_of(slack, billing, f"sqlite:///{ledger}")
            settings = config.load(self._folder / "no.env", environment | {"BILLING_TIMEOUT": str(patience)})
            pace = Pace(posts=1000, updates=1000, burst=1000)
            async with self._starting:
                bot = await stack.enter_async_context(app.running(settings, timing=timing, pace=pace))
            stack.callback(billing.heal)
            yield slack, billing, bot

    async def over_an_open_session(self, modes: Sequence[str], patience: float) -> Outcomes:
        """The modes one after another with the same bot.

        What fails a payment only leaves its look-up to open the session. Before what fails more, a payment
        went well, so that one is open.
        """
        found: Outcomes = {}
        is_open = False
        async with self.one(patience) as (slack, billing, bot):
            for mode in modes:
                if mode in WIDE and not is_open:
                    assert (await pay(slack, billing, bot)).state is PAID
                billing.fail(mode)
                seen = found[OPEN, mode] = await outcome(pay(slack, billing, bot))
                billing.heal()
                is_open = isinstance(seen, Seen) and seen.state is PAID
        return found

    async def from_the_start(self, modes: Sequence[str], patience: float) -> Outcomes:
        """Each mode with a bot that knows nothing better."""
        found: Outcomes = {}
        for mode in modes:
            async with self.one(patience, mode) as (slack, billing, bot):
                found[START, mode] = await outcome(pay(slack, billing, bot))
        return found


async def outcome(paying: Coroutine[None, None, Seen]) -> Seen | BaseException:
    """What came of it: its own test shall fail, and no other."""
    (found,) = await asyncio.gather(paying, return_exceptions=True)
    return found


numbers = itertools.count(30000)


async def pay(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> Seen:
    """Alice pays a new invoice."""
    invoice = next(numbers)
    earlier = len(slack.messages("#payments"))
    billing.add_invoice("vps", invoice)
    result = await slack.person("alice").types("#payments", f"/pay vps {invoice}")
    assert result.ok, result
    # It rests soon after its reply; to ask it all the while costs as much as what it does.
    await slack.wait_for(lambda: slack.messages("#payments")[earlier:] and card(slack).thread, 30)
    assert await bot.rest(30)
    payment = await bot.ledger.latest(InvoiceRef("vps", invoice))
    assert payment is not None
    newest = card(slack)
    assert newest.ts == payment.request.cards.ts
    assert slack.ephemerals("alice") == []
    return Seen(
        state=payment.state,
        card=shown(newest),
        thread=[shown(reply) for reply in newest.thread],
        acknowledged=result.seconds,
        received=billing.payments_received("vps", invoice),
        made=billing.payments_made("vps", invoice),
        number=payment.number,
        invoice=invoice,
        password=billing.password,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What came of every case; several bots at once, as much of it is waiting."""
    installations = Installations(migrated_sqlite, tmp_path_factory.mktemp("ledgers"))
    lanes: list[Coroutine[None, None, Outcomes]] = []
    for run, when in ((installations.over_an_open_session, OPEN), (installations.from_the_start, START)):
        modes = [mode for each, mode in CASES if each == when]
        hanging = [mode for mode in modes if EXPECTED[mode].hangs]
        others = [mode for mode in modes if not EXPECTED[mode].hangs]
        lanes += [run(hanging[::2], 1.0), run(hanging[1::2], 1.0), run(others, 10.0)]
    found: Outcomes = {}
    for lane in await asyncio.gather(*lanes):
        found |= lane
    return found


@pytest.fixture
def seen(when: str, mode: str, outcomes: Outcomes) -> Seen:
    """What came of the case that this test is about."""
    found = outcomes[when, mode]
    if isinstance(found, BaseException):
        raise found
    return found


def test_only_cases_differ() -> None:
    """A difference that is named is one of a mode that there is."""
    assert set(DIFFERS) <= set(CASES)


@pytest.mark.parametrize(("when", "mode"), CASES)
def test_the_outcome_is_told_truthfully(when: str, mode: str, seen: Seen) -> None:
    """One call at most; the card and one reply say what became of it, in words that differ by outcome."""
    state, made = expected(when, mode)
    assert (seen.state, seen.made) == (state, made)
    assert seen.received == (0 if state in (NOT_SENT, HELD, CANCELLED) else 1)
    assert seen.acknowledged < 2.0
    assert SAYS[state] in seen.card
    assert ("amount unknown" in seen.card) == ((when, mode) in UNTOLD)
    (reply,) = seen.thread
    assert (SAYS[state] in reply) != (state is HELD)
    assert ("Waiting: the " in reply) == (state is HELD)
    others = [words for other, words in SAYS.items() if other is not state]
    assert not [words for words in others if re.search(rf"\b{words}\b", f"{seen.card}\n{reply}")]


@pytest.mark.parametrize(("when", "mode"), CASES)
def test_the_reply_says_what_to_do(when: str, mode: str, seen: Seen) -> None:
    """The API's own words where it said any; the warning where the answer was lost."""
    (reply,) = seen.thread
    warning = "it may have been paid. I am checking; expect an answer by"
    assert (warning in reply) == (seen.state is UNKNOWN)
    assert ("Do not pay it here or in MyAdmin." in reply) == (seen.state is UNKNOWN)
    lost = EXPECTED[mode].hangs or mode in NO_ANSWER
    assert ("The answer was lost" in reply) == (seen.state is UNKNOWN and lost)
    assert ("The answer was unclear" in reply) == (seen.state is UNKNOWN and not lost)
    assert ("Nothing was sent, so nothing was paid." in reply) == (seen.state is NOT_SENT)
    assert ("Nothing was sent; it is tried again by itself." in reply) == (seen.state is HELD)
    success = f"> Payment of 10.00 USD for Invoice {seen.invoice} Successful."
    answered = seen.state is PAID or mode in ("missing-status-after", "odd-status-after")
    assert (success in reply) == answered
    assert ("> The Credit Card on file was declined." in reply) == (mode == "declined")


@pytest.mark.parametrize(("when", "mode"), CASES)
def test_nothing_secret_is_told(when: str, mode: str, seen: Seen) -> None:
    """No password, no session id, no envelope and no stack trace in anything that was posted."""
    everything = "\n".join([seen.card, *seen.thread])
    assert seen.password not in everything
    assert not re.search(r"\b[0-9a-f]{32}\b|Envelope|Traceback|html", everything)
