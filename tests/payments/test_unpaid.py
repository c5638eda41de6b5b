"""The unpaid invoices for people to look at: read together, for a while, and a few modules at once."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any, cast

import pytest

from bot.domain.payment import Invoice, InvoiceRef
from bot.domain.unpaid_list import UnpaidList
from bot.errors import Unreadable
from bot.ledger.store import Ledger
from bot.payments import unpaid
from bot.payments.billing_api import BillingApi
from bot.payments.unpaid import Listing, UnpaidInvoices
from tests.ledger.making import request

SOON, LATER = date(2026, 3, 3), date(2026, 3, 9)


def invoice(module: str, number: int, due: date | None = SOON) -> Invoice:
    return Invoice(InvoiceRef(module, number), "Sample", Decimal(10), "USD", due)


class Books:
    """What the billing API has: by module its unpaid invoices, or an error. read: the modules, as asked.

    most: so many were read at once. hangs: a module that gives no answer.
    """

    def __init__(self, **modules: list[Invoice] | Exception) -> None:
        self.modules = modules
        self.read: list[str] = []
        self.most = 0
        self.hangs = ""
        self._reading = 0

    async def unpaid_invoices(self, module: str, *, timeout: float) -> UnpaidList:
        assert 0 < timeout <= unpaid.READING_TIMEOUT_S
        self.read.append(module)
        self._reading += 1
        self.most = max(self.most, self._reading)
        try:
            await asyncio.sleep(60 if module == self.hangs else 0)
        finally:
            self._reading -= 1
        found = self.modules[module]
        if isinstance(found, Exception):
            raise found
        return UnpaidList(tuple(found))


def reads(books: Books, ledger: Ledger) -> UnpaidInvoices:
    return UnpaidInvoices(cast(BillingApi, books), ledger)


def told(listing: Listing | None) -> Any:
    """The invoices, with the request that holds each; and what could not be read."""
    assert listing is not None
    held = [(str(one.invoice.ref), one.requested and one.requested.request.id) for one in listing.invoices]
    return held, listing.unread


async def test_the_longest_due_comes_first_and_what_is_asked_for_is_known(ledger: Ledger) -> None:
    """Of one day they come by module; what has no day comes last."""
    await request(ledger, InvoiceRef("vps", 2))
    books = Books(
        vps=[invoice("vps", 1, None), invoice("vps", 2, LATER), invoice("vps", 3)],
        mail=[invoice("mail", 4)],
        ssl=Unreadable("no"),
    )
    assert told(await reads(books, ledger).of(["vps", "ssl", "mail"])) == (
        [("mail 4", None), ("vps 3", None), ("vps 2", 1), ("vps 1", None)],
        ("ssl",),
    )


async def test_who_asks_meanwhile_or_soon_after_shares_a_reading(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that failed serves as well, and an old one does not."""
    books = Books(vps=[invoice("vps", 1)], ssl=Unreadable("no"))
    shared = reads(books, ledger)
    await asyncio.gather(*(shared.of(["vps", "ssl"]) for _ in range(3)))
    await shared.of(["vps", "ssl"])
    assert sorted(books.read) == ["ssl", "vps"]
    monkeypatch.setattr(unpaid, "READING_SERVES_S", 0.0)
    anew = reads(books, ledger)
    for _ in range(2):
        await anew.of(["vps"])
    assert books.read.count("vps") == 3


async def test_a_few_modules_are_read_at_once(ledger: Ledger) -> None:
    """Threads are left for payments."""
    books = Books(**{f"module_{one}": [] for one in range(6)})
    await reads(books, ledger).of(list(books.modules))
    assert (len(books.read), books.most) == (6, 2)


async def test_what_takes_too_long_is_not_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other modules are told."""
    monkeypatch.setattr(unpaid, "READING_TIMEOUT_S", 0.05)
    books = Books(vps=[invoice("vps", 1)], ssl=[invoice("ssl", 2)])
    books.hangs = "ssl"
    slow = reads(books, ledger)
    assert told(await slow.of(["vps", "ssl"])) == ([("vps 1", None)], ("ssl",))
    await slow.close()


async def test_who_goes_on_with_what_was_read_needs_no_other_reading(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But hears what was asked for since; for some minutes, and of modules that were all read."""
    books = Books(vps=[invoice("vps", 1)], ssl=Unreadable("no"))
    lately = reads(books, ledger)
    assert await lately.recent(["vps"]) is None
    await lately.of(["vps", "ssl"])
    assert told(await lately.recent(["vps"])) == ([("vps 1", None)], ())
    await request(ledger, InvoiceRef("vps", 1))
    assert told(await lately.recent(["vps"])) == ([("vps 1", 1)], ())
    assert await lately.recent(["vps", "ssl"]) is None
    assert books.read.count("vps") == 1
    monkeypatch.setattr(unpaid, "RECENT_S", -1.0)
    assert await lately.recent(["vps"]) is None
