"""The invoices behind the local billing API, and what paying one does to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypedDict

MODULES = (
    "domains",
    "vps",
    "backups",
    "mail",
    "licenses",
    "ssl",
    "floating_ips",
    "webhosting",
    "quickservers",
    "servers",
)

CUSTOMER = 160884
CHARGE = 1
CARD_PAYMENT = 10

REFUSED = "Invalid Invoice Number Passed or missing Module information."
"""The one documented status_text, word for word."""


Sample = tuple[str, int, str, float, str, int, bool]


class InvoiceRow(TypedDict):
    """A row of `sql_row_invoices`, in the documented order. A NULL of the database is None."""

    invoices_id: int
    invoices_description: str | None
    invoices_amount: float | None
    invoices_custid: int
    invoices_type: int
    invoices_date: str
    invoices_group: int
    invoices_extra: int
    invoices_paid: int | None
    invoices_module: str
    invoices_due_date: str | None
    invoices_service: int
    invoices_deleted: int | None
    invoices_currency: str | None


class Books:
    """Charges and payments of one customer, by module. mixed: the list of each holds the rows of all."""

    def __init__(self) -> None:
        self.mixed = False
        self._rows: dict[str, list[InvoiceRow]] = {module: [] for module in MODULES}
        self._next_payment = 90001
        # Local time without a zone, as MyAdmin writes it.
        self._today = datetime.now().replace(microsecond=0)  # noqa: DTZ005

    def add(
        self,
        module: str,
        number: int,
        *,
        description: str = "Sample",
        amount: float = 10.0,
        currency: str = "USD",
        due_in_days: int = 14,
        paid: bool = False,
    ) -> InvoiceRow:
        """Add a charge, or replace the one of that number; with a payment row if it is `paid`.

        Returns the row itself.
        """
        self._rows[module] = [row for row in self._rows[module] if row["invoices_id"] != number]
        charge = self._charge(module, number, description, amount, currency, due_in_days)
        self._rows[module].append(charge)
        if paid:
            self._settle(charge)
        return charge

    def add_history(self, module: str, numbers: Iterable[int]) -> None:
        """Add paid charges of these numbers, none of which is there yet, with their payment rows."""
        for number in numbers:
            charge = self._charge(module, number, f"Invoice {number}", 10.0, "USD", -number % 3650)
            self._rows[module].append(charge)
            self._settle(charge)

    def _charge(
        self, module: str, number: int, description: str, amount: float, currency: str, due_in_days: int
    ) -> InvoiceRow:
        due = self._today + timedelta(days=due_in_days)
        return InvoiceRow(
            invoices_id=number,
            invoices_description=description,
            invoices_amount=amount,
            invoices_custid=CUSTOMER,
            invoices_type=CHARGE,
            invoices_date=str(due - timedelta(days=14)),
            invoices_group=0,
            invoices_extra=19150000 + number,
            invoices_paid=0,
            invoices_module=module,
            invoices_due_date=str(due),
            invoices_service=8000 + number % 1000,
            invoices_deleted=0,
            invoices_currency=currency,
        )

    def row(self, module: str, number: int) -> InvoiceRow | None:
        """The charge of that number: the row itself, to look at or to change under whoever reads it."""
        charges = (row for row in self._rows.get(module, []) if row["invoices_type"] == CHARGE)
        return next((row for row in charges if row["invoices_id"] == number), None)

    def invoices(self, module: str) -> list[InvoiceRow]:
        """Every row of a module: charges, paid or not, and payments."""
        if self.mixed:
            return [row for rows in self._rows.values() for row in rows]
        return list(self._rows[module])

    def unpaid(self, module: str) -> list[InvoiceRow]:
        """The charges of a module that are neither paid nor deleted."""
        return [
            row
            for row in self.invoices(module)
            if row["invoices_type"] == CHARGE and not row["invoices_paid"] and not row["invoices_deleted"]
        ]

    def pay(self, module: str, number: int) -> str | None:
        """Pay an invoice. The status_text of a payment made; None if there is nothing to pay."""
        charge = self.row(module, number)
        if charge is None or charge["invoices_paid"] or charge["invoices_deleted"]:
            return None
        self._settle(charge)
        amount = f"{charge['invoices_amount'] or 0:.2f} {charge['invoices_currency']}"
        return f"Payment of {amount} for Invoice {number} Successful."

    def _settle(self, charge: InvoiceRow) -> None:
        charge["invoices_paid"] = 1
        payment = InvoiceRow(
            **{
                **charge,
                "invoices_id": self._next_payment,
                "invoices_description": f"Credit Card Payment (Invoice {charge['invoices_id']})",
                "invoices_type": CARD_PAYMENT,
                "invoices_date": str(self._today),
                "invoices_extra": charge["invoices_id"],
            }
        )
        self._next_payment += 1
        self._rows[charge["invoices_module"]].append(payment)


def sample_books() -> Books:
    """Books to try the bot with. The `ssl` module has nothing unpaid; vps 10101 is always there."""
    books = Books()
    _fill(books, _SAMPLES)
    return books


def month_end_books() -> Books:
    """The same and more: forty unpaid invoices over all modules, some overdue, in two currencies."""
    books = sample_books()
    _fill(books, _MORE)
    return books


def _fill(books: Books, samples: Iterable[Sample]) -> None:
    for module, number, description, amount, currency, due_in_days, paid in samples:
        books.add(
            module,
            number,
            description=f"(Repeat Invoice: {19150000 + number}) {description}",
            amount=amount,
            currency=currency,
            due_in_days=due_in_days,
            paid=paid,
        )


# module, number, description, amount, currency, due in days, paid
_SAMPLES: tuple[Sample, ...] = (
    ("domains", 10001, "Domain Name Registration for example.com", 14.99, "USD", 21, False),
    ("domains", 10002, "Domain Name Renewal for café & <b> <!channel>", 17.5, "EUR", -3, False),
    ("domains", 10003, "Domain Name Renewal for example.org", 16.99, "USD", -40, True),
    ("vps", 10101, "KVM Linux VPS 1 Slice", 10.0, "USD", 9, False),
    ("vps", 10102, "KVM Linux VPS 4 Slices", 49.99, "USD", 2, False),
    ("vps", 10103, "KVM Windows VPS 8 Slices", 120.0, "USD", -6, False),
    ("vps", 10104, "KVM Storage VPS 16 Slices, yearly", 640.0, "USD", 12, False),
    ("vps", 10105, "KVM Linux VPS 2 Slices", 20.0, "USD", -31, True),
    ("backups", 10201, "Storage 1 TB", 6.0, "USD", 5, False),
    ("backups", 10202, "Storage 4 TB", 24.0, "EUR", 18, False),
    ("mail", 10301, "MailBaby Mail", 1.0, "USD", -1, False),
    ("mail", 10302, "MailBaby Mail", 1.0, "USD", -62, True),
    ("licenses", 10401, "cPanel License 5 Accounts", 20.99, "USD", 7, False),
    ("licenses", 10402, "DirectAdmin License", 11.0, "USD", 7, False),
    ("ssl", 10501, "AlphaSSL Certificate for www.example.com", 25.0, "USD", -90, True),
    ("floating_ips", 10601, "Floating IP 192.0.2.17", 3.0, "USD", 10, False),
    ("webhosting", 10701, "Standard Web Hosting for example.net", 8.0, "USD", -12, False),
    ("webhosting", 10702, "Boost 2 Web Hosting for example.com", 19.95, "EUR", 16, False),
    ("quickservers", 10801, "Rapid Deploy Server, E3 32 GB", 79.0, "USD", 4, False),
    ("servers", 10901, "Dedicated Server, 2x Xeon Silver 256 GB", 349.0, "USD", 8, False),
    ("servers", 10902, "Dedicated Server, Ryzen 9 128 GB", 1250.5, "USD", -2, False),
)

_MORE: tuple[Sample, ...] = (
    ("domains", 10004, "Domain Name Renewal for example.net", 16.99, "USD", 3, False),
    ("domains", 10005, "Whois Privacy for example.com", 4.5, "USD", 25, False),
    ("vps", 10106, "KVM Linux VPS 2 Slices, mail relay", 20.0, "USD", -9, False),
    ("vps", 10107, "KVM Linux VPS 6 Slices, staging", 72.0, "USD", 1, False),
    ("vps", 10108, "KVM Linux VPS 1 Slice, monitoring", 10.0, "USD", 6, False),
    ("vps", 10109, "OpenVZ VPS 3 Slices", 18.0, "EUR", 11, False),
    ("vps", 10110, "KVM Windows VPS 4 Slices, accounting", 64.0, "USD", 13, False),
    ("vps", 10111, "Extra IP address for VPS 10103", 2.5, "USD", -6, False),
    ("backups", 10203, "Storage 2 TB, databases", 12.0, "USD", -4, False),
    ("backups", 10204, "Storage 8 TB, archive", 44.0, "USD", 20, False),
    ("mail", 10303, "MailBaby Mail, 120,000 messages", 24.0, "USD", 0, False),
    ("mail", 10304, "MailBaby Mail", 1.0, "USD", 15, False),
    ("mail", 10305, "MailBaby Mail, overage", 7.35, "USD", 15, False),
    ("licenses", 10403, "cPanel License 30 Accounts", 42.5, "USD", 2, False),
    ("licenses", 10404, "Softaculous License", 2.0, "USD", 7, False),
    ("licenses", 10405, "KernelCare License", 3.95, "USD", -15, False),
    ("ssl", 10502, "AlphaSSL Wildcard Certificate for *.example.org", 149.0, "USD", 5, False),
    ("ssl", 10503, "AlphaSSL Certificate for shop.example.net", 25.0, "EUR", 22, False),
    ("floating_ips", 10602, "Floating IP 192.0.2.18", 3.0, "USD", 10, False),
    ("webhosting", 10703, "Standard Web Hosting for example.org", 8.0, "USD", 4, False),
    ("webhosting", 10704, "Reseller Web Hosting, 25 sites", 29.95, "USD", -1, False),
    ("quickservers", 10802, "Rapid Deploy Server, E5 64 GB", 119.0, "USD", 12, False),
    ("servers", 10903, "Dedicated Server, EPYC 512 GB", 899.0, "USD", 9, False),
)
