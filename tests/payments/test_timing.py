"""The bot's patience with Slack: pauses that grow, and days before anything is given up."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from bot.ledger.leases import LONGEST_LEASE, LONGEST_RETRY
from bot.payments.timing import Timing


def test_pauses_grow_from_a_second_to_minutes() -> None:
    """An outage of a moment costs a moment, and one of a day does not end in a storm."""
    timing = Timing()
    pauses = [timing.backoff(tries) for tries in range(1, 2000)]
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=1)
    assert pauses[9] == pauses[-1] == timing.deliver_most == timedelta(minutes=5) > pauses[8]


def test_it_takes_days_to_give_anything_up() -> None:
    """Longer than a weekend on which nobody mends anything; the tries alone say how long it was."""
    timing = Timing()
    assert timing.tried_for(1) == timedelta(0)
    assert timing.tried_for(3) == timedelta(seconds=3)
    tries = next(one for one in range(1, 10_000) if timing.tried_for(one) >= timing.deliver_for)
    assert timing.tried_for(tries - 1) < timing.deliver_for == timedelta(days=7)


def test_the_tries_took_as_long_as_the_pauses_between_them() -> None:
    """Whatever the first and the longest pause are."""
    for longest in (1.0, 1.5, 8.0, 300.0):
        timing = Timing(deliver_most=timedelta(seconds=longest))
        for tries in range(100):
            pauses = [timing.backoff(before) for before in range(1, tries)]
            assert timing.tried_for(tries) == sum(pauses, timedelta())


def test_no_lease_and_no_retry_takes_longer_than_the_ledger_thinks() -> None:
    """What lasts longer was written by another clock, so it is cut short."""
    assert Timing().lease < LONGEST_LEASE
    assert max(Timing().not_sent) <= LONGEST_RETRY


def test_what_may_have_arrived_is_posted_blindly_once_in_an_hour_and_never_no_more() -> None:
    """However long nobody can say whether it did."""
    timing = Timing()
    blind = [tries for tries in range(1, 20_000) if timing.may_repost(tries)]
    assert timing.tried_for(blind[0]) >= timing.search_for
    assert {after - before for before, after in pairwise(blind)} == {12}, "every five minutes, by then"
    assert blind[-1] > 19_980


def test_what_was_not_sent_is_tried_again_a_few_times() -> None:
    """After each pause once; people are told how many tries are left."""
    timing = Timing(not_sent=(timedelta(minutes=1), timedelta(minutes=5)))
    assert [timing.next_try(tries) for tries in (1, 2, 3)] == [*timing.not_sent, None]
    assert [timing.tries_left(tries) for tries in (1, 2, 3)] == [2, 1, 0]
