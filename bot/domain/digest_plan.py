"""When the daily digest is told, and of which day: by the calendar of the channel's time zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class DigestPlan:
    """What PAY_DIGEST says.

    weekdays: 0 is Monday. at, zone: the time of day, and whose. within: what is due in that time is told of.
    approvers: each approver is told in one direct message what waits for them, in place of being mentioned
    on each card.
    """

    channel: str
    weekdays: frozenset[int]
    at: time
    zone: tzinfo
    within: timedelta
    approvers: bool

    def day(self, now: datetime) -> date:
        """The day that it is in the channel's zone."""
        return now.astimezone(self.zone).date()

    def due(self, now: datetime) -> date | None:
        """The day whose digest may be told by now; None where there is none, or its time has not come."""
        local = now.astimezone(self.zone)
        on_this_day = local.weekday() in self.weekdays and local.time() >= self.at
        return local.date() if on_this_day else None
