"""Rows of a list of invoices as they are read from XML: their columns are texts, or None."""

from __future__ import annotations

from bot.billing import reading
from bot.billing.list_answer import Row
from bot.domain.payment import InvoiceEvidence, InvoiceRef

DOCUMENTED = {
    "invoices_id": 7514880,
    "invoices_description": "(Repeat Invoice: 19156909) MailBaby Mail",
    "invoices_amount": 1.0,
    "invoices_custid": 160884,
    "invoices_type": 1,
    "invoices_date": "2021-02-24 01:38:45",
    "invoices_group": 0,
    "invoices_extra": 19156909,
    "invoices_paid": 0,
    "invoices_module": "mail",
    "invoices_due_date": "2021-03-10 01:38:45",
    "invoices_service": 8556,
    "invoices_deleted": 0,
    "invoices_currency": "USD",
}
MAIL = InvoiceRef("mail", 7514880)


def row(**changes: object) -> Row:
    """The unpaid charge of `MAIL`."""
    told = DOCUMENTED | {f"invoices_{name}": new for name, new in changes.items()}
    return {name: None if value is None else str(value) for name, value in told.items()}


def payment(**changes: object) -> Row:
    """A payment of it."""
    return row(**{"id": 90001, "type": 10, "extra": 7514880, "paid": 1} | changes)


def evidence(all_rows: list[Row] | None, unpaid_rows: list[Row]) -> InvoiceEvidence:
    """What both lists say about `MAIL`; None for a list that was not read."""
    unpaid = reading.AmongUnpaid(MAIL)
    for one in unpaid_rows:
        unpaid.add(one)
    everything = None if all_rows is None else reading.AmongAll(MAIL)
    if everything is not None:
        for one in all_rows or []:
            everything.add(one)
    return reading.evidence(unpaid, everything)
