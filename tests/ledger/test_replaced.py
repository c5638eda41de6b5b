"""A SQLite ledger whose files somebody deletes or replaces while a bot has it open.

Under its open files the bot would go on, and what it writes would be gone when it ends: the next one would
know nothing of what was paid.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bot.domain.payment import InvoiceRef
from bot.errors import LedgerUnavailable
from bot.ledger.opening import open_ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from tests.fixture_types import NewDatabase, StartBot
from tests.ledger.making import request
from tests.ledger.opening import file_of

BESIDE = ("", "-wal", "-shm")


@pytest.fixture
def new_database(new_sqlite: NewDatabase) -> NewDatabase:
    """SQLite alone has files that somebody tidies up."""
    return new_sqlite


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
@pytest.mark.parametrize("suffix", BESIDE)
async def test_nothing_is_written_that_the_next_one_would_not_find(
    ledger_url: str, tmp_path: Path, suffix: str, replaced: bool
) -> None:
    """It is refused in a sentence that names the file, and goes on as soon as that is back."""
    file = Path(f"{file_of(ledger_url)}{suffix}")
    async with open_ledger(ledger_url) as ledger:
        await request(ledger)
        os.rename(file, tmp_path / "elsewhere")
        if replaced:
            shutil.copy(tmp_path / "elsewhere", file)
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match=f"{file.name} was deleted or replaced"):
                await request(ledger, InvoiceRef("mail", 1))
        os.rename(tmp_path / "elsewhere", file)
        await request(ledger, InvoiceRef("mail", 2))
    async with open_ledger(ledger_url) as ledger:
        assert len(await ledger.recent()) == 2
        assert (await ledger.verify()).whole


async def test_a_ledger_that_takes_its_place_is_not_gone_on_with(ledger_url: str, tmp_path: Path) -> None:
    """Also by connections that are made only then: of what it does not know, nobody waited for the end."""
    shutil.copy(file_of(ledger_url), tmp_path / "backup.db")
    async with open_ledger(ledger_url) as ledger:
        await request(ledger)
        os.replace(tmp_path / "backup.db", file_of(ledger_url))
        await ledger._engine.dispose()
        with pytest.raises(LedgerUnavailable, match=r"ledger1\.db was deleted or replaced"):
            await request(ledger, InvoiceRef("mail", 1))


async def test_what_was_written_without_its_log_is_there_once_the_bot_has_stopped(ledger_url: str) -> None:
    """Who closes it last writes all of the log into the file, also of one that has no name any more."""
    async with open_ledger(ledger_url) as ledger:
        await request(ledger)
        os.unlink(f"{file_of(ledger_url)}-wal")
        with pytest.raises(LedgerUnavailable):
            await request(ledger, InvoiceRef("mail", 1))
    async with open_ledger(ledger_url) as ledger:
        assert len(await ledger.recent()) == 1
        assert (await ledger.verify()).whole


async def test_nothing_is_paid_that_no_ledger_would_know_of(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, ledger_url: str
) -> None:
    """Whoever asks is told to try again, and no call goes out."""
    bot = await start_bot()
    await slack.person("alice").types("#payments", "/pay vps 10101")
    assert await bot.rest(10)
    os.unlink(file_of(ledger_url))
    await slack.person("alice").types("#payments", "/pay vps 10102")
    assert "try again" in "\n".join(slack.ephemerals("alice")[-1].texts()).lower()
    assert billing.payments_received("vps", 10101) == 1
    assert billing.payments_received("vps", 10102) == 0
