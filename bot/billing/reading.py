"""Reads the billing API's answers, and trusts no field of them.

A short answer is what zeep made of XML: objects, lists, strings, numbers, None, in places where the WSDL
promised something else; a list's row is texts. A row that cannot be read is left out, an amount that cannot
be read exactly is no amount, and a status that is not known is UNKNOWN. Every text that is kept is free of
secrets, of what a database cannot store, and no longer than it may be.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

from bot.billing.list_answer import Row
from bot.billing.transport import AnswerTooLarge
from bot.domain.payment import Invoice, InvoiceEvidence, InvoiceRef, Outcome, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.redaction import Redaction

CHARGE = 1
"""`invoices_type` of an invoice."""

FIRST_PAYMENT_KIND = 10
"""`invoices_type` from which on a row is a payment; its `invoices_extra` is the charge it pays."""

MAX_AMOUNT = Decimal(10) ** 12
"""Above this, an amount is a mistake of the row, and a float does not hold its cents."""

MAX_PLACES = 6
"""Decimal places beyond which a number is no amount of money."""

MAX_TEXT_BYTES = 16_000
"""Bytes of a text that are kept, in UTF-8; of a status_text above all."""

MAX_DESCRIPTION_BYTES = 1_000
"""The same, of an invoice's description."""

MAX_INVOICES = 20_000
"""Unpaid invoices of one module that are held at once."""

MAX_MODULES = 100
"""MyAdmin documents ten."""

CUT = "… (cut)"
"""What a text ends with that was longer."""

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\b", re.ASCII)
_CENT = Decimal("0.01")
_VERDICTS = {"ok": Verdict.PAID, "error": Verdict.DECLINED}
_BOOLEANS = {"true": 1, "false": 0}


def kept(text: str, redaction: Redaction, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """A text from outside as it may be stored and shown: no secret, no NUL, no half character."""
    storable = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    # Before it is cut: half a secret would not be known for one.
    clean = redaction.clean(storable)
    encoded = clean.encode("utf-8")
    if len(encoded) <= max_bytes:
        return clean
    return encoded[: max_bytes - len(CUT.encode("utf-8"))].decode("utf-8", "ignore") + CUT


def outcome(answer: object, redaction: Redaction) -> Outcome:
    """Read the answer of api_make_payment: `ok`, `error`, or nothing that is known.

    `error` is the documented word for "not paid"; `ok` is assumed from its sister operations.
    """
    status = getattr(answer, "status", None)
    text = getattr(answer, "status_text", None)
    verdict = Verdict.UNKNOWN
    evidence = "answered without a status"
    if isinstance(status, str):
        verdict = _VERDICTS.get(status.strip().casefold(), Verdict.UNKNOWN)
        evidence = "answered with a status that is neither ok nor error"
    if verdict is not Verdict.UNKNOWN:
        evidence = f"answered with status {'ok' if verdict is Verdict.PAID else 'error'}"
    return Outcome(
        verdict,
        kept(status, redaction) if isinstance(status, str) else None,
        kept(text, redaction) if isinstance(text, str) else None,
        evidence,
        answered=True,
    )


class UnpaidCharges:
    """The invoices in a list of unpaid ones, each once, as far as amount and currency can be read.

    An invoice that is left out here has no known amount, which counts as above every threshold. A
    negative one would count as below every threshold: it is left out for that. So is one whose rows
    contradict each other in what it costs, or in whether it is unpaid: nobody could say what is approved.
    """

    def __init__(self, module: str, redaction: Redaction) -> None:
        self._module = module
        self._redaction = redaction
        self._found: dict[int, Invoice | None] = {}
        self._unclear: set[int] = set()
        self._others = False

    def add(self, row: Row) -> None:
        """Read one row."""
        ref = _ref(self._module, _whole(row, "invoices_id"))
        if ref is None:
            return
        # A row of another module is that module's to pay, under its own name and no other.
        if _whole(row, "invoices_type") != CHARGE or _module(row) not in (self._module, None):
            self._others = True
            return
        told = self._read(ref, row)
        if told is None and _is_unpaid_charge(row):
            self._unclear.add(ref.number)
        self._others |= told is None and ref.number not in self._unclear
        if ref.number not in self._found:
            if len(self._found) >= MAX_INVOICES:
                raise AnswerTooLarge(f"there are more than {MAX_INVOICES} unpaid invoices of one module")
            self._found[ref.number] = told
            return
        before = self._found[ref.number]
        agree = before and told and (before.amount, before.currency) == (told.amount, told.currency)
        self._found[ref.number] = told if agree else None
        if not agree and (before or told):
            self._unclear.add(ref.number)

    def _read(self, ref: InvoiceRef, row: Row) -> Invoice | None:
        """The invoice; None where it is not unpaid, or its amount or currency cannot be read."""
        amount = _amount(row.get("invoices_amount"))
        currency = (row.get("invoices_currency") or "").strip().upper()
        if amount is None or not _CURRENCY.fullmatch(currency) or not _is_unpaid_charge(row):
            return None
        return Invoice(
            ref=ref,
            description=kept(row.get("invoices_description") or "", self._redaction, MAX_DESCRIPTION_BYTES),
            amount=amount,
            currency=currency,
            due=_day(row.get("invoices_due_date")),
        )

    def found(self) -> UnpaidList:
        """In the list's order."""
        return UnpaidList(
            tuple(one for one in self._found.values() if one is not None),
            tuple(InvoiceRef(self._module, one) for one in self._found if one in self._unclear),
            self._others,
        )


class AmongUnpaid:
    """What a list of unpaid invoices, read whole, says about one.

    unpaid: it stands there, as an unpaid charge of its own module.
    unclear: it stands there, but the row names no module, or says that it is paid or deleted.
    """

    def __init__(self, ref: InvoiceRef) -> None:
        self._ref = ref
        self._others = False
        self._mentioned = False
        self.unpaid = False
        self.unclear = False

    def add(self, row: Row) -> None:
        """Read one row."""
        number, module = _whole(row, "invoices_id"), _module(row)
        self._mentioned |= number in (self._ref.number, None)
        if module not in (self._ref.module, None) or _whole(row, "invoices_type") != CHARGE:
            return
        told = module is not None and _is_unpaid_charge(row)
        if number == self._ref.number:
            self.unpaid |= told
            self.unclear |= not told
        elif number is not None:
            self._others |= told

    @property
    def gone(self) -> bool:
        """No row can be about it, and there are other unpaid charges of its module: the list is one."""
        return self._others and not self._mentioned


class AmongAll:
    """What a list of all invoices, paid or not, says about one; only rows of its own module count.

    payment: the id of a payment row that names it, and moved money for it; None if there is none. One that
        moved none, or gave it back, leaves open what became of the invoice.
    """

    def __init__(self, ref: InvoiceRef) -> None:
        self._ref = ref
        self._flags: set[bool | None] = set()
        self._unreadable = False
        self.payment: int | None = None

    def add(self, row: Row) -> None:
        """Read one row."""
        kind = _whole(row, "invoices_type")
        if kind is None:
            return
        charge = kind == CHARGE and _whole(row, "invoices_id") == self._ref.number
        pays = (
            kind >= FIRST_PAYMENT_KIND
            and _whole(row, "invoices_extra") == self._ref.number
            and not _flag(row, "invoices_deleted")
        )
        module = _module(row)
        if not (charge or pays) or module not in (self._ref.module, None):
            return
        if module is None:
            self._unreadable = True
        elif charge:
            # A deleted one counts: it left the list of unpaid ones, but not because it was paid.
            paid = _whole_or_boolean(row, "invoices_paid")
            self._flags.add(None if paid is None else paid != 0)
        elif (number := _whole(row, "invoices_id")) is None or not _moved_money(row):
            self._unreadable = True
        else:
            self.payment = number

    @property
    def paid_flag(self) -> bool | None:
        """Whether its own row says that it is paid; None if there is no such row, or they contradict."""
        return next(iter(self._flags)) if len(self._flags) == 1 else None

    @property
    def unclear(self) -> bool:
        """Rows about it contradict each other, or cannot be read, name no module, or paid nothing."""
        return self._unreadable or len(self._flags) > 1 or None in self._flags


def evidence(unpaid: AmongUnpaid, everything: AmongAll | None) -> InvoiceEvidence:
    """What both lists say. everything: None where that list was not read."""
    return InvoiceEvidence(
        unpaid=unpaid.unpaid,
        paid_flag=None if everything is None else everything.paid_flag,
        payment=None if everything is None else everything.payment,
        gone=unpaid.gone,
        unclear=unpaid.unclear or (everything is not None and everything.unclear),
        history=everything is not None,
    )


def module_names(answer: object, redaction: Redaction) -> tuple[str, ...]:
    """The names in an answer of get_modules that are names of modules; empty if there are none.

    zeep takes a text or a struct in place of an array as a list of its letters: none has one letter.
    """
    names = answer if isinstance(answer, list) else []
    modules = (
        name
        for name in names
        if isinstance(name, str) and len(name) > 1 and _ref(name, 1) and redaction.clean(name) == name
    )
    return tuple(dict.fromkeys(modules))[:MAX_MODULES]


def _ref(module: str, number: int | None) -> InvoiceRef | None:
    try:
        return None if number is None else InvoiceRef(module, number)
    except ValueError:
        return None


def _module(row: Row) -> str | None:
    """The module that the row names; None if it names none."""
    return row.get("invoices_module") or None


def _is_unpaid_charge(row: Row) -> bool:
    paid_or_deleted = _flag(row, "invoices_deleted") or _flag(row, "invoices_paid")
    return _whole(row, "invoices_type") == CHARGE and not paid_or_deleted


def _moved_money(row: Row) -> bool:
    """Whether a payment row says that it was carried out, with an amount of its own."""
    amount = _amount(row.get("invoices_amount"))
    return _whole_or_boolean(row, "invoices_paid") not in (None, 0) and amount is not None and amount > 0


def _whole(row: Row, field: str) -> int | None:
    text = (row.get(field) or "").strip()
    return int(text) if _WHOLE.fullmatch(text) else None


def _whole_or_boolean(row: Row, field: str) -> int | None:
    number = _whole(row, field)
    return _BOOLEANS.get((row.get(field) or "").strip().lower()) if number is None else number


def _flag(row: Row, field: str) -> bool:
    """Whether a flag is set: not if it is absent, but if it is there and cannot be read."""
    return row.get(field) is not None and _whole_or_boolean(row, field) != 0


def _amount(text: str | None) -> Decimal | None:
    """An exact amount with two places or more; None if it is none, negative, or beyond reason."""
    number = (text or "").strip()
    if not _NUMBER.fullmatch(number):
        return None
    amount = Decimal(number)
    if (places := _places(amount)) > MAX_PLACES:
        # PHP may write a float with all its seventeen digits: 49.990000000000002 is 49.99.
        amount = Decimal(repr(float(number)))
        places = _places(amount)
    if amount >= MAX_AMOUNT or places > MAX_PLACES:
        return None
    return amount if places > 2 else amount.quantize(_CENT)


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "bug: it was written in digits"
    return -exponent


def _day(text: str | None) -> date | None:
    """The day of `2021-03-10 01:38:45`; None for `0000-00-00 00:00:00` and whatever is no date."""
    if text is None or not _DAY.match(text.strip()):
        return None
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
