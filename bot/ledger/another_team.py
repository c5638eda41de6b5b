"""A ledger that another workspace's bot works on: this one would cancel what it finds, and tell nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, union_all

from bot.domain.payment import FINAL, State
from bot.errors import LedgerUnfit
from bot.ledger.schema import PENDING, deliveries, payments, requests
from bot.ledger.store import Ledger

LATELY = timedelta(days=30)
"""What was asked for before then is of a workspace that was left, and its bot does not come back."""


async def must_be_of(team: str, ledger: Ledger) -> None:
    """Raises LedgerUnfit where something of another Slack team is under way, or still to be told.

    Raises LedgerUnavailable.
    """
    async with ledger.snapshot() as connection:
        await connection.run_sync(must_be_in, team, ledger.clock())


def must_be_in(connection: Connection, team: str, now: datetime) -> None:
    """The same of the ledger that a connection leads to."""
    live = [state.value for state in State if state not in FINAL]
    theirs = (requests.c.team != team, requests.c.created_at > now - LATELY)
    waiting = select(requests.c.team).join(payments).where(payments.c.state.in_(live), *theirs).limit(1)
    untold = select(requests.c.team).join(deliveries).where(PENDING, *theirs).limit(1)
    either = union_all(*(select(one.subquery()) for one in (waiting, untold)))
    another = connection.execute(either).scalars().first()
    if another is not None:
        raise LedgerUnfit(
            f"something is under way in the ledger for another Slack workspace ({another}), and the tokens"
            f" are of {team}; let LEDGER_URL name a ledger of this workspace, or take the other's tokens"
        )
