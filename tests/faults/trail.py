"""What the events of a request say by themselves, read without the code that the bot reads them with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bot.domain.batch import Batch
from bot.domain.payment import FINAL, Payment, State
from bot.ledger.rows import Event
from tests.ledger.making import stored

_ARRIVED = frozenset({State.UNKNOWN, State.PAID, State.DECLINED})
"""States of what may have been received. Where nothing was, the reply about its end says all there is."""


def moves(payment: Payment, events: Iterable[Event]) -> Iterator[Event]:
    """The events that moved this payment: its own, and those of all that were in its state."""
    state = State.REQUESTED
    for event in events:
        if event.to_state is None or event.line not in (None, payment.line):
            continue
        if event.line is None and payment.request.size > 1 and event.from_state is not state:
            continue
        state = event.to_state
        yield event


def last_move(payment: Payment, events: Iterable[Event]) -> Event:
    """The event that brought it to its state."""
    *_, last = moves(payment, events)
    assert last.to_state is payment.state, (
        f"{payment.number} is {payment.state}, by its events {last.to_state}"
    )
    return last


def told_with(event: Event, events: Iterable[Event]) -> list[Event]:
    """What is told by one word: payments in several states that were cancelled together, and else itself."""
    if event.to_state is not State.CANCELLED or event.line is not None:
        return [event]
    which = (event.at, event.actor, event.action, event.line)
    return [one for one in events if (one.at, one.actor, one.action, one.line) == which]


def unapproved(batch: Batch, events: Sequence[Event]) -> list[str]:
    """Calls that were made with fewer approvals than were asked for when they were."""
    required, given, flaws = 0, set[str](), []
    for event in events:
        if event.action == "looked_up":
            required = stored(event).get("approvals_required", required)
        elif event.action == "asked_again":
            given.clear()
        elif event.action == "approved":
            given.add(event.actor)
        elif event.action == "sending" and len(given - {batch.request.requester}) < required:
            flaws.append(f"event {event.id} sends it with {len(given)} of {required} approvals")
    return flaws


def ill_summed_up(batch: Batch, events: Sequence[Event]) -> list[str]:
    """Of several it is said once that none is under way, and anew when all that was unknown is known."""
    said = [event for event in events if event.action == "completed"]
    states = {one.state for one in batch.payments}
    if not batch.several:
        return ["one payment is summed up"] if said else []
    at_rest = states <= FINAL | {State.UNKNOWN}
    ever_arrived = any(event.to_state in _ARRIVED for event in events)
    flaws = []
    if len(said) > 1 + any(event.to_state is State.UNKNOWN for event in events):
        flaws.append(f"it is summed up {len(said)} times")
    if not (at_rest and ever_arrived):
        return flaws
    if not said:
        return [*flaws, "it is never summed up"]
    ends = [event for event in events if event.to_state is not None and event.action != "corrected"]
    if State.UNKNOWN not in states and said[-1].id < ends[-1].id:
        flaws.append("it is summed up before its end")
    return flaws


def sent_while_paused(events: Iterable[Event]) -> list[str]:
    """Intents that were written down between a pause and its end. events: the whole trail, in its order."""
    paused, flaws = False, []
    for event in events:
        if event.action in ("paused", "resumed"):
            paused = event.action == "paused"
        elif event.action == "sending" and paused:
            flaws.append(f"event {event.id} sends #{event.request_id} while sending is paused")
    return flaws


def sent_too_early(payment: Payment, events: Iterable[Event]) -> list[str]:
    """Intents that were written down before the payment's day had come, by the ledger's clock."""
    return [
        f"event {event.id} of {event.at} sends it, and its day begins at {payment.not_before}"
        for event in moves(payment, events)
        if event.to_state is State.SENDING
        and payment.not_before is not None
        and event.at < payment.not_before
    ]
