"""How long the work on payments waits for what. One place, so that a test can run a day in a second.

How long one exchange with Slack or the billing API may take, and how long a reading is good for, stands where
it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

RESPONSE_URL_LASTS = timedelta(minutes=30)
"""So long Slack takes answers where a command was typed."""

CALLS = 2
"""How many times BILLING_TIMEOUT a payment may take: to get ready, and to be made."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The bot's patience with everything that it does of its own accord.

    lease: how long an instance holds a payment or delivery without a heartbeat; a dead one's work is
        taken over after this.
    look_up: what the card waits for the invoice's data, in seconds.
    fresh: how old a snapshot may be to serve as the check right before sending.
    hold: how often an approved payment that cannot be checked is tried again, until it expires.
    paused: how often one is that a pause holds: whoever ends the pause has it tried at once.
    not_sent: the waits before each automatic retry of what was provably not sent.
    settling: how long after an answer was lost an invoice must still be unpaid before a lost answer means
        "not charged"; covers a slow server. What a call itself may take is added to it.
    reconcile_first, reconcile_most: the first and the longest wait between readings of a lost answer.
    remind_unknown, reminders_unknown: how often, and how many times, people are asked to settle one that
        could not be settled when the settling time was over.
    deliver_first, deliver_most: the first and the longest backoff between tries to deliver one thing, doubled
        from the one to the other.
    deliver_for: how long one thing is tried, while Slack takes others, before it is told in another way:
        longer than a long weekend on which nobody mends anything.
    search_for: how long it is asked whether a post arrived, before it is made again all the same; and again
        for as long after each such post.
    visible_within: how long Slack may take to show a message that it has in its history.
    late: how long Slack may take to change a card after the answer to that was lost.
    forget: how often what is of no use any more is forgotten, in seconds.
    digest: how often it is asked whether the time of what is told daily has come, in seconds.
    watch: how often it is looked for what operators have to be told, in seconds.
    unknown_alert: how long a payment may be unknown before they are.
    away_alert: how long the ledger must have been away for them to be told, and be there again before.
    again_alert: how soon they may be told again that the billing API refuses the login, after it was over.
    too_old: after this they are not told any more of what came about once, such as a pause.
    poll: how often it is asked what has become due, by time or by another instance, in seconds.
    """

    lease: timedelta = timedelta(seconds=30)
    look_up: float = 5.0
    fresh: timedelta = timedelta(seconds=10)
    hold: timedelta = timedelta(seconds=30)
    paused: timedelta = timedelta(minutes=10)
    not_sent: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
    )
    settling: timedelta = timedelta(minutes=15)
    reconcile_first: timedelta = timedelta(seconds=10)
    reconcile_most: timedelta = timedelta(hours=12)
    remind_unknown: timedelta = timedelta(hours=24)
    reminders_unknown: int = 7
    deliver_first: timedelta = timedelta(seconds=1)
    deliver_most: timedelta = timedelta(minutes=5)
    deliver_for: timedelta = timedelta(days=7)
    search_for: timedelta = timedelta(hours=1)
    visible_within: timedelta = timedelta(seconds=2)
    late: timedelta = timedelta(minutes=1)
    forget: float = 300.0
    digest: float = 20.0
    watch: float = 10.0
    unknown_alert: timedelta = timedelta(hours=1)
    away_alert: timedelta = timedelta(minutes=1)
    again_alert: timedelta = timedelta(minutes=10)
    too_old: timedelta = timedelta(days=1)
    poll: float = 0.5

    def next_try(self, tries: int) -> timedelta | None:
        """How long after so many tries that sent nothing another one is made; None: it is not tried again."""
        return self.not_sent[tries - 1] if tries <= len(self.not_sent) else None

    def tries_left(self, tries: int) -> int:
        """How many more there are after so many that sent nothing."""
        return len(self.not_sent) + 1 - tries

    def backoff(self, tries: int) -> timedelta:
        """The backoff after so many tries in a row that Slack did not take."""
        doubled: int = 2 ** min(tries - 1, 30)
        return min(self.deliver_first * doubled, self.deliver_most)

    def tried_for(self, tries: int) -> timedelta:
        """How long these tries took, at the least."""
        waits = max(tries - 1, 0)
        doublings = (-(-self.deliver_most // self.deliver_first) - 1).bit_length()
        growing = min(waits, doublings)  # from then on every wait is the longest
        doubled: int = 2**growing - 1
        return self.deliver_first * doubled + self.deliver_most * (waits - growing)

    def may_repost(self, tries: int) -> bool:
        """Whether this try may post although nobody could say if an earlier one arrived: one in `search_for`.

        By the number of the try alone, so that every instance gives the same answer.
        """
        return self.tried_for(tries) // self.search_for > self.tried_for(tries - 1) // self.search_for

    def settled_after(self, call_timeout: float) -> timedelta:
        """From when on a call whose answer was lost will not be carried out any more.

        call_timeout: BILLING_TIMEOUT, in seconds.
        """
        return self.settling + timedelta(seconds=CALLS * call_timeout)
