"""Alarms: what the people who run the bot have to know, written down once however many instances see it.

A pause, what was given up, and a contradiction are written down where they come about, in their own
transaction. What has merely lasted too long is looked for here. While the ledger is away nothing can be
written down, so that is told when it is back: whoever told it at once would tell it again after each restart,
and once for each instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.ledger import watching
from bot.ledger.notices import Topic
from bot.ledger.store import Ledger
from bot.payments.billing_api import BillingApi
from bot.payments.timing import Timing


def ids_in(detail: str) -> list[int]:
    """The payments that an alert is about; what somebody wrote in their place is none."""
    return [int(one) for one in detail.split(",") if one.isascii() and one.isdecimal()]


def span_in(detail: str) -> tuple[datetime, datetime]:
    """From when to when the ledger was away."""
    began, ended = map(datetime.fromisoformat, detail.split())
    return began, ended


@dataclass(frozen=True, slots=True)
class Alarms:
    """Looks for what operators have to be told. All of it may raise LedgerUnavailable."""

    ledger: Ledger
    billing: BillingApi
    timing: Timing

    async def look(self) -> None:
        """Write down what is new, and what is over."""
        await self._ledger_was_away()
        await self._unknown()
        await self._login()

    async def _unknown(self) -> None:
        found = await watching.unknown(self.ledger)
        told = await watching.going_on(self.ledger, Topic.UNKNOWN)
        known = {one for alert in told for one in ids_in(alert.detail)}
        before = self.ledger.clock() - self.timing.unknown_alert
        new = sorted(one.id for one in found if one.since <= before and one.id not in known)
        over = [one for one in told if not {line.id for line in found}.intersection(ids_in(one.detail))]
        if not new and not over:
            return
        async with self.ledger.transaction() as transaction:
            for alert in over:
                await transaction.notices.over(alert.id, then=Topic.SETTLED)
            if new:
                await transaction.notices.alert(Topic.UNKNOWN, new[0], ",".join(map(str, new)))

    async def _login(self) -> None:
        login = self.billing.login
        if login is None:
            return
        seen = self.ledger.clock() - timedelta(seconds=self.ledger.boottime() - login.at)
        told = await watching.going_on(self.ledger, Topic.REFUSED)
        if login.refused and not told:
            async with self.ledger.transaction() as transaction:
                await transaction.lock("notices")
                last = await transaction.notices.last(Topic.REFUSED)
                # What was seen before it was over, by another instance as well, says nothing new.
                since = None if last is None else last[1]
                if since is None or (seen > since and transaction.now - since >= self.timing.again_alert):
                    await transaction.notices.alert(Topic.REFUSED, "login")
        elif not login.refused and (over := [one for one in told if seen > one.created_at]):
            async with self.ledger.transaction() as transaction:
                for alert in over:
                    await transaction.notices.over(alert.id, then=Topic.ACCEPTED)

    async def _ledger_was_away(self) -> None:
        away = self.ledger.outage.over(self.timing.away_alert)
        if away is None:
            return
        began, ended = away
        if ended - began >= self.timing.away_alert:
            async with self.ledger.transaction() as transaction:
                await transaction.lock("notices")
                last = await transaction.notices.last(Topic.AWAY)
                # Other instances saw the same, a little sooner or later.
                if last is None or began - span_in(last[0])[1] > self.timing.away_alert:
                    detail = f"{began.isoformat()} {ended.isoformat()}"
                    await transaction.notices.alert(Topic.AWAY, began.isoformat(), detail)
        self.ledger.outage.forget()
