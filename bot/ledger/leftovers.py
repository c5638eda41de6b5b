"""What was erased goes from a SQLite ledger's files as well.

SQLite leaves what a row said before in free places of the file, and what the file said before in the log
beside it, for as long as somebody has it open.
"""

from __future__ import annotations

from sqlalchemy import text

from bot.errors import LedgerUnavailable
from bot.ledger import database

_TRIES = 6
"""Each waits for some seconds until nobody reads any more what was there before."""


async def wipe(url: str) -> None:
    """Write the file at LEDGER_URL anew, and empty its log; who writes to it meanwhile waits.

    Raises LedgerUnavailable: nothing is lost then, and what was erased may be left in places.
    """
    if database.address(url).get_backend_name() != "sqlite":
        return
    engine = database.engine_for(url)
    try:
        async with database.honest_errors(), database.reading(engine).connect() as connection:
            await connection.execute(text("VACUUM"))
            for _ in range(_TRIES):
                emptied = await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
                if not emptied.one()[0]:
                    return
    finally:
        await engine.dispose()
    raise LedgerUnavailable("others read it all the time, so its log cannot be emptied")
