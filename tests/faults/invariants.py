"""What must hold whatever happened: the ledger, the billing side and Slack compared, row by row."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.batch import Batch
from bot.domain.payment import FINAL, Payment, State, mark_of
from bot.ledger.rows import Event, Kind, event_of, payment_of
from bot.ledger.schema import PAYMENTS, deliveries, requests
from bot.ledger.schema import events as trail_of_all
from bot.ledger.store import Ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.service import PAYMENT
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.workspace import Execution
from bot.slack.announcer import DECIDED
from bot.slack.post_search import METADATA
from bot.slack.text import standing_of
from tests.faults import trail
from tests.ledger.making import attempts, stored

_TOLD = frozenset(
    {
        "approved",
        "denied",
        "left_out",
        "completed",
        "cancelled",
        "expired",
        "reminded",
        "answered",
        "lease_ran_out",
        "reconciled",
        "resolved",
    }
)
"""What happens to a payment and is told in its thread, or directly."""


Ref = tuple[str, int]
"""An invoice: its module and number."""


@dataclass(slots=True)
class PastTheBot:
    """What happened past the bot, so that something else holds for it.

    forged: requests of which somebody changed rows. by_hand, deleted: invoices that were paid, or deleted, in
    MyAdmin itself. forgotten: calls that were received, and that a ledger which was set back does not know.
    set_back: requests up to this number were there when it was set back; below zero: it never was.
    were_out: people whom Slack did not know for a while; what is told to them alone is told to nobody then.
    """

    forged: set[int] = field(default_factory=set)
    by_hand: set[Ref] = field(default_factory=set)
    deleted: set[Ref] = field(default_factory=set)
    forgotten: Counter[Ref] = field(default_factory=Counter)
    set_back: int = -1
    were_out: set[str] = field(default_factory=set)


class Installation(Protocol):
    """What is compared: of real processes, or of simulated ones. For what they are, see `installation`."""

    slack: LocalSlack
    billing: LocalBilling
    exact: bool
    acknowledged: list[tuple[str, int]]

    @property
    def past(self) -> PastTheBot:
        """What happened past the bot."""

    @property
    def runs(self) -> Sequence[Execution]:
        """The workflows whose step has come to its end."""

    @property
    def settled_after(self) -> float:
        """Seconds from when on a lost call will not be carried out any more."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection to the ledger's tables."""

    async def ledger(self) -> Ledger:
        """The ledger."""


@dataclass(slots=True)
class Findings:
    """What a comparison found. wrong: every violation, in words.

    duplicates: calls of api_make_payment beyond the one that an invoice may have.
    lost: outcomes that nobody was told.
    """

    payments: int = 0
    duplicates: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)


async def check_invariants(installation: Installation) -> Findings:
    """Compare everything, once it has come to rest."""
    found = Findings()
    ledger = await installation.ledger()
    async with installation.reading() as connection:
        rows = list((await connection.execute(PAYMENTS.order_by(requests.c.id))).mappings())
        told = list((await connection.execute(select(deliveries))).mappings())
        whole = list((await connection.execute(select(trail_of_all).order_by(trail_of_all.c.id))).mappings())
    everything = [payment_of(row) for row in rows]
    batches = [
        Batch(tuple(sorted(lines, key=lambda one: one.line)))
        for _, lines in itertools.groupby(everything, lambda one: one.request.id)
    ]
    verification = await ledger.verify()
    if verification.broken_at is not None:
        found.wrong.append(f"the audit trail breaks at event {verification.broken_at}")
    named = {one for one in installation.past.forged if any(_of(one, flaw) for flaw in verification.flaws)}
    found.wrong += [f"what was forged of #{one} is not seen" for one in installation.past.forged - named]
    found.wrong += [
        f"the rows contradict the audit trail: {flaw}"
        for flaw in verification.flaws
        if not any(_of(one, flaw) for one in named)
    ]
    found.wrong += trail.sent_while_paused(map(event_of, whole))
    await _compare_with_billing(installation, everything, found)
    slack = _Slack(installation, ledger.identity)
    past = installation.past
    for batch in batches:
        if batch.request.id in past.forged:
            continue
        events = await ledger.history(batch.request.id)
        mine = [row for row in told if row["request_id"] == batch.request.id]
        flaws = [*_each_step_told(batch, events, mine), *trail.unapproved(batch, events)]
        flaws += trail.ill_summed_up(batch, events)
        for payment in batch.payments:
            untold = _outcome_told(payment, events, mine, past.were_out, found)
            untold += trail.sent_too_early(payment, events)
            found.wrong += [f"{payment.number}: {flaw}" for flaw in untold]
        # Otherwise Slack may show what came of it later, and the ledger does not know of that.
        if batch.request.id > installation.past.set_back:
            flaws += slack.thread_flaws(events, mine)
            for row in mine:
                flaws += slack.flaws(batch, row)
        found.wrong += [f"{batch.number}: {flaw}" for flaw in flaws]
    if installation.past.set_back < 0:
        found.wrong += slack.unknown(told)
    found.wrong += _steps_ended(installation, everything)
    asked = {(payment.ref.module, payment.ref.number) for payment in everything}
    found.wrong += [
        f"{ref} was acknowledged and is not in the ledger" for ref in set(installation.acknowledged) - asked
    ]
    return found


async def _compare_with_billing(
    installation: Installation, everything: Sequence[Payment], found: Findings
) -> None:
    received = Counter(
        (call.module, call.invoice) for call in installation.billing.log if call.operation == PAYMENT
    )
    made = Counter((call.module, call.invoice) for call in installation.billing.log if call.effect == "paid")
    found.payments = sum(made.values())
    past = installation.past
    by_invoice: dict[tuple[str | None, int | None], list[Payment]] = defaultdict(list)
    ledger = await installation.ledger()
    for payment in everything:
        by_invoice[payment.ref.module, payment.ref.number].append(payment)
    for invoice, count in received.items():
        if any(payment.request.id in past.forged for payment in by_invoice[invoice]):
            continue
        sent = declined = past.forgotten[invoice]  # type: ignore[index]
        for payment in by_invoice[invoice]:
            calls = [one for one in await attempts(ledger, payment.id) if one.verdict != "NOT_SENT"]
            if len(calls) > 1:
                found.wrong.append(f"{payment.number} was sent {len(calls)} times")
            sent += len(calls)
            declined += sum(one.verdict == "DECLINED" for one in calls)
        if (hasty := _hasty(installation, invoice)) > declined:
            found.duplicates += 1
            found.wrong.append(f"{invoice} was sent anew {hasty} times while a call of it was not settled")
        # A request after one that was declined may be sent anew; nothing else may.
        if count > sent or made[invoice] > 1:
            found.duplicates += 1
            found.wrong.append(f"{invoice} was received {count} times, {sent} attempts are written down")
    for invoice, asked_for in by_invoice.items():
        row = installation.billing.row(*invoice)  # type: ignore[arg-type]
        paid = bool(row and row["invoices_paid"])
        if any(payment.request.id in past.forged for payment in asked_for):
            continue
        claimed = [payment for payment in asked_for if payment.state is State.PAID]
        # What was done past the bot it may notice, and need not.
        excused = invoice in past.deleted if claimed else invoice in past.by_hand | past.forgotten.keys()
        if (paid != bool(claimed) and not excused) or len(claimed) > 1:
            states = ", ".join(f"{one.number} {one.state}" for one in asked_for)
            found.wrong.append(f"{invoice} is {'paid' if paid else 'not paid'}, and the ledger says {states}")


def _of(request_id: int, flaw: str) -> bool:
    """Whether a flaw that the audit found is of this request."""
    return flaw.startswith(f"#{request_id}:")


def _hasty(installation: Installation, invoice: tuple[str | None, int | None]) -> int:
    """How many calls followed the one before within the time in which that could be carried out yet.

    By the clock of those who receive them. Only an answer that says no lets another follow at once.
    """
    at = [
        call.at
        for call in installation.billing.log
        if call.operation == PAYMENT and (call.module, call.invoice) == invoice
    ]
    return sum(later - earlier < installation.settled_after for earlier, later in itertools.pairwise(at))


def _outcome_told(
    payment: Payment,
    events: Sequence[Event],
    told: Sequence[RowMapping],
    were_out: Collection[str],
    found: Findings,
) -> list[str]:
    """The event that brought the final state must have been told, in the thread or directly."""
    if payment.state not in FINAL:
        return []
    telling = {event.id for event in trail.told_with(trail.last_move(payment, events), events)}
    ways = [row for row in told if row["event_id"] in telling]
    delivered = [row for row in ways if row["given_up"] is None and row["ts"] is not None]
    nobody = payment.request.requester in were_out and {row["given_up"] for row in ways} == {
        "channel_not_found"
    }
    if delivered or nobody:
        return []
    found.lost += 1
    return [f"the outcome {payment.state} was never told"]


def _each_step_told(batch: Batch, events: Sequence[Event], told: Sequence[RowMapping]) -> list[str]:
    """Every step that concerns people is told, and once."""
    flaws = []
    # Where nobody had to be waited for, the outcome follows at once, and the card says the rest.
    sending_is_told = batch.request.approvals_required and not batch.several
    for event in events:
        if event.action in _TOLD or (event.action == "sending" and sending_is_told):
            telling = {one.id for one in trail.told_with(event, events)}
            of_it = [row for row in told if row["event_id"] in telling]
            ways = [row for row in of_it if row["given_up"] is None]
            pointless = event.action == "reminded" and {row["given_up"] for row in of_it} == {DECIDED}
            if len(ways) != 1 and not pointless:
                flaws.append(f"{event.action} is told {len(ways)} times")
    return flaws


def _steps_ended(installation: Installation, everything: Sequence[Payment]) -> list[str]:
    """A step of a workflow ends as its payment did; one that got none has failed."""
    set_back = installation.past.set_back
    ends = {payment.request.step_run: payment.state for payment in everything if payment.request.step_run}
    before = {payment.request.step_run for payment in everything if payment.request.id <= set_back}
    flaws = []
    for run in installation.runs:
        if (run.id not in ends and set_back >= 0) or run.id in before:
            # The ledger was set back: it has forgotten which payment it waited for, or that it has ended.
            continue
        right = "completed" if ends.get(run.id) is State.PAID else "failed"
        if run.status != right:
            flaws.append(f"the step {run.id} is {run.status}, its payment {ends.get(run.id)}: {run.error}")
    return flaws


class _Slack:
    """What stands in Slack, by the delivery that it came from."""

    def __init__(self, installation: Installation, identity: str) -> None:
        self._installation = installation
        self._by_delivery: dict[tuple[int, str], list[Message]] = defaultdict(list)
        for channel in installation.slack.world.channels.values():
            for message in channel.messages.values():
                for delivery in _deliveries_of(message, identity) if not message.deleted else ():
                    self._by_delivery[delivery].append(message)

    def flaws(self, batch: Batch, row: RowMapping) -> list[str]:
        """What is wrong with one delivery."""
        if row["kind"] == Kind.STEP:
            return []
        if row["given_up"] is not None or row["ts"] == "response_url":
            return []
        messages = self._by_delivery[_key(row)]
        what = f"{row['kind']} of event {row['event_id']}"
        if not messages:
            return [f"{what} is not in Slack"]
        flaws = []
        repeatable = not self._installation.exact or row["kind"] in (Kind.DIRECT, Kind.INVITATION)
        if len(messages) > 1 and not repeatable:
            flaws.append(f"{what} is in Slack {len(messages)} times")
        stands = batch.request.cards
        elsewhere = row["channel"] != batch.request.channel
        thread_ts = stands.approval_ts if elsewhere else stands.ts
        if row["kind"] == Kind.THREAD_REPLY and any(one.thread_ts != thread_ts for one in messages):
            flaws.append(f"{what} is not in the thread")
        cards = {Kind.CARD: stands.ts, Kind.APPROVAL_CARD: stands.approval_ts}
        if row["kind"] in cards:
            card = next((one for one in messages if one.ts == cards[row["kind"]]), None)
            if card is None:
                stand = ", ".join(one.ts for one in messages)
                flaws.append(f"the {row['kind']} is {cards[row['kind']]}, in Slack there is {stand}")
            elif not card.text.endswith(standing_of(batch)[1]):
                states = ", ".join(one.state for one in batch.payments)
                flaws.append(f"the {row['kind']} says {card.text!r}, the ledger {states}")
            elif not all(one in card.text for one in _days_to_come(batch)):
                flaws.append(f"the {row['kind']} says {card.text!r}, and not on which day it is sent")
        return flaws

    def thread_flaws(self, events: Sequence[Event], told: Sequence[RowMapping]) -> list[str]:
        """What is wrong with the thread as a whole: its order, and a denial's reason."""
        by_event = {row["event_id"]: row for row in told if row["kind"] == Kind.THREAD_REPLY and row["ts"]}
        flaws = []
        times = [by_event[event.id]["ts"] for event in events if event.id in by_event]
        if times != sorted(times):
            flaws.append("the thread is not in the order in which it happened")
        for event in events:
            if event.action == "denied" and event.id in by_event:
                replies = self._by_delivery[_key(by_event[event.id])]
                if not all(str(stored(event)["reason"]) in "\n".join(one.texts()) for one in replies):
                    flaws.append("the reply does not say why it was denied")
        return flaws

    def unknown(self, told: Sequence[RowMapping]) -> list[str]:
        """Messages that no delivery explains."""
        return [
            f"message of delivery {one}, which is not there"
            for one, _ in self._by_delivery.keys() - {_key(row) for row in told}
        ]


def _days_to_come(batch: Batch) -> list[str]:
    """The first and the last day, in words, for which a request waits of which nothing else is to be said."""
    waiting = [
        one.not_before
        for one in batch.payments
        if one.state is State.APPROVED and not one.tries
        if one.not_before is not None and one.looked_up_at is not None and one.not_before > one.looked_up_at
    ]
    if len(waiting) < len(batch.payments):
        return []
    return [f"{day.day} {day:%b} {day.year}" for day in (min(waiting), max(waiting))]


def _key(row: RowMapping) -> tuple[int, str]:
    """What tells a delivery from any other, also of the same number."""
    return row["id"], mark_of(row["created_at"])


def _deliveries_of(message: Message, identity: str) -> list[tuple[int, str]]:
    """What it tells; of several payments one message may tell much."""
    metadata: dict[str, Any] = message.metadata or {}
    payload = metadata.get("event_payload") or {}
    if metadata.get("event_type") != METADATA or payload.get("ledger") != identity:
        return []
    return [(int(one["delivery"]), str(one["made"])) for one in (payload, *payload.get("also", ()))]
