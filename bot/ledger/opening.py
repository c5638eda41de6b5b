"""Opens a ledger: to run on it, or only to read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bot.clocks import BootClock, boottime
from bot.errors import LedgerUnavailable
from bot.ledger import database, version
from bot.ledger.store import Clock, Ledger, utc_now

log = structlog.get_logger()


@asynccontextmanager
async def open_ledger(
    url: str,
    *,
    instance: str | None = None,
    begin: bool = True,
    clock: Clock = utc_now,
    boot_clock: BootClock = boottime,
) -> AsyncIterator[Ledger]:
    """Open the ledger at LEDGER_URL.

    instance: the running bot that opens it, for `Ledger.instances`; it logs where the ledger is. begin: make
    the tables where there are none, and bring them to this version; otherwise what is not there is refused.
    Raises ConfigError (a driver is missing), LedgerUnavailable, LedgerUnfit, LedgerContradicted.
    """
    if not begin:
        database.must_be_there(url)
    tightened = database.make_private(url)
    engine = database.engine_for(url, instance)
    try:
        new = await version.migrate(engine) if begin else False
        async with database.honest_errors(), engine.connect() as connection:
            await connection.run_sync(version.check)
            ledger = Ledger(engine, await version.identity_of(connection), clock, boot_clock)
            await ledger.now(connection)
        if instance is not None:
            _say_which(database.place(url), new=new, tightened=tightened)
        yield ledger
    finally:
        await engine.dispose()


@asynccontextmanager
async def read_ledger(url: str) -> AsyncIterator[Ledger]:
    """Open the ledger only to read it, beside a bot or without: nothing is made, migrated or changed.

    Raises ConfigError (a driver is missing), LedgerUnavailable, LedgerUnfit.
    """
    database.must_be_there(url)
    before = database.footprint(url)
    engine = database.engine_to_read(url)
    try:
        async with database.honest_errors(), engine.connect() as connection:
            await connection.run_sync(version.check)
        yield Ledger(engine, "", utc_now)
    except LedgerUnavailable:
        database.must_be_unchanged(url, before)
        raise
    finally:
        await engine.dispose()
    database.must_be_unchanged(url, before)


def _say_which(place: str, *, new: bool, tightened: bool) -> None:
    """A bot that is started in another folder or with another address would know of no payment."""
    log.info("the ledger is open", ledger=place)
    if new:
        log.warning("a new ledger begins here: no earlier payment is known to it", ledger=place)
    if tightened:
        log.warning("others could read the ledger's files; they are for its user alone now", ledger=place)
