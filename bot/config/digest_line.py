"""PAY_DIGEST: one line that says where, on which days, when and in which time zone the digest is told.

`C0123ABCD mon-fri 08:30 Europe/Berlin`, and after it, if wanted, `14d` and `approvers`.
"""

from __future__ import annotations

import re
from datetime import UTC, time, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, InstanceOf

from bot.config.values import wrong
from bot.domain.digest_plan import DigestPlan
from bot.domain.slack_ids import is_channel

DEFAULT_WITHIN = timedelta(days=7)
"""What is due in this time is told of, where the line does not say."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EXAMPLE = "Write, for example, C0123ABCD mon-fri 08:30 Europe/Berlin."
_REST = re.compile(r"(?:([0-9]{1,3})d)?(?: ?(approvers))?", re.ASCII)


def _plan(value: object) -> object:
    if not isinstance(value, str):
        return value
    words = value.split()
    if len(words) < 4:
        raise wrong("needs a channel, weekdays, a time and a time zone", _EXAMPLE)
    channel, weekdays, at, zone, *rest = words
    if not is_channel(channel):
        raise wrong("must begin with a channel's id", "It stands at the foot of the channel's About.")
    read = _REST.fullmatch(" ".join(rest))
    if read is None or read[1] == "0":
        remedy = "After the time zone, write a number of days such as 14d, the word approvers, or nothing."
        raise wrong("has more in it than is understood", remedy)
    within = timedelta(days=int(read[1])) if read[1] else DEFAULT_WITHIN
    return DigestPlan(channel, _weekdays(weekdays), _time(at), _zone(zone), within, read[2] is not None)


def _weekdays(written: str) -> frozenset[int]:
    if written.lower() == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in written.lower().split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in _DAYS or last not in _DAYS:
            raise wrong("has no weekdays in its second place", "Write mon-fri, or mon,wed,fri, or daily.")
        begin, end = _DAYS.index(first), _DAYS.index(last)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _time(written: str) -> time:
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", written, re.ASCII)
    if found is None:
        raise wrong("has no time of day in its third place", "Write it as 08:30 or 17:00.")
    return time(int(found[1]), int(found[2]))


def _zone(written: str) -> tzinfo:
    if written.upper() == "UTC":
        return UTC  # also where the machine knows no others
    try:
        return ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise wrong(
            "names a time zone that is not known here",
            "Write one such as Europe/Berlin or UTC; a machine without any needs the package tzdata.",
        ) from None


DigestLine = Annotated[InstanceOf[DigestPlan], BeforeValidator(_plan)]
