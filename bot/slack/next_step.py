"""What follows by itself for a payment that is not paid, what people can do, and when. Pure.

One line each, for the thread and for the card. The times are the bot's own: see `Timing`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.domain.batch import Batch
from bot.domain.payment import Payment, State
from bot.payments.timing import Timing
from bot.slack.text import harmless, time_of_day

SETTLE_IT = "I could not find out by now. Look in MyAdmin, and say here what you saw."


def next_steps(batch: Batch, now: datetime, timing: Timing, settled: timedelta) -> list[str]:
    """What follows for a request: of several payments, for the first in each state."""
    first = {one.state: one for one in reversed(batch.payments)}
    if batch.several:
        first.pop(State.DECLINED, None)
    found = (next_step(one, now, timing, settled) for one in first.values())
    return [step for step in found if step is not None]


def next_step(payment: Payment, now: datetime, timing: Timing, settled: timedelta) -> str | None:
    """What follows for a payment as it stands; None where nothing has to be said."""
    match payment.state:
        case State.NOT_SENT:
            return not_sent(payment.tries, payment.updated_at, timing)
        case State.UNKNOWN if now < payment.updated_at + settled:
            return checking(payment.updated_at, settled)
        case State.UNKNOWN:
            return SETTLE_IT
        case State.APPROVED if payment.reason:
            return (
                f"Waiting: {harmless(payment.reason, 1000)}. Nothing was sent; it is tried again by itself."
            )
        case State.DECLINED:
            return f"It may be asked for again: {ask_again(payment)}"
        case _:
            return None


def not_sent(tries: int, since: datetime, timing: Timing) -> str:
    """When it is tried again after so many tries, the last of them at `since`."""
    nothing = "Nothing was sent, so nothing was paid."
    if (wait := timing.next_try(tries)) is None:
        return f"{nothing} That was the last try."
    return f"{nothing} Next try {time_of_day(since + wait)}, {timing.tries_left(tries)} left."


def checking(since: datetime, settled: timedelta) -> str:
    """Until when it is known whether it was paid. since: when it became clear that this is not known."""
    by = time_of_day(since + settled)
    return f"I am checking; expect an answer by {by}. Do not pay it here or in MyAdmin."


def ask_again(payment: Payment) -> str:
    """The command."""
    return f"`/pay {payment.ref}`"
