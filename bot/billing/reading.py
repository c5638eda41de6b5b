"""Reads the billing API's answers, and trusts no field of them.

An answer is what zeep made of XML: objects, lists, strings, numbers, None, in places where the WSDL
promised something else. A row that cannot be read is left out, an amount that cannot be read exactly
is no amount, and a status that is not known is UNKNOWN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from bot.domain.payment import Invoice, InvoiceRef, Outcome, Standing, Verdict

CHARGE = 1
"""`invoices_type` of an invoice."""

FIRST_PAYMENT_KIND = 10
"""`invoices_type` from which on a row is a payment; its `invoices_extra` is the charge it pays."""

MAX_AMOUNT = Decimal(10) ** 12
"""Above this, an amount is a mistake of the row, and a float does not hold its cents."""

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_CENT = Decimal("0.01")
_VERDICTS = {"ok": Verdict.PAID, "error": Verdict.DECLINED}


def outcome(answer: object) -> Outcome:
    """Read the answer of api_make_payment: `ok`, `error`, or nothing that is known.

    `error` is the documented word for "not paid"; `ok` is assumed from its sister operations.
    """
    status = _text(answer, "status")
    verdict = Verdict.UNKNOWN
    evidence = "answered without a status"
    if status is not None:
        verdict = _VERDICTS.get(status.strip().casefold(), Verdict.UNKNOWN)
        evidence = "answered with a status that is neither ok nor error"
    if verdict is not Verdict.UNKNOWN:
        evidence = f"answered with status {'ok' if verdict is Verdict.PAID else 'error'}"
    return Outcome(verdict, status, _text(answer, "status_text"), evidence)


def rows(answer: object) -> list[object] | None:
    """The rows of an answer that lists invoices; None if it is anything else.

    zeep takes a text or a struct in place of an array as a list of its letters. Read as a list without
    a row that matters, `error` would say that an invoice is not unpaid any more.
    """
    if isinstance(answer, list) and all(hasattr(row, "invoices_id") for row in answer):
        return answer
    return None


def invoices(module: str, rows: Sequence[object]) -> list[Invoice]:
    """The invoices in a list of unpaid ones, each once, as far as amount and currency can be read.

    An invoice that is left out here has no known amount, which counts as above every threshold. A
    negative one would count as below every threshold: it is left out for that.
    """
    found: dict[InvoiceRef, Invoice] = {}
    for ref, row in _unpaid_charges(module, rows):
        amount = _amount(getattr(row, "invoices_amount", None))
        currency = (_text(row, "invoices_currency") or "").strip().upper()
        if amount is not None and _CURRENCY.fullmatch(currency):
            found[ref] = Invoice(
                ref=ref,
                description=_text(row, "invoices_description") or "",
                amount=amount,
                currency=currency,
                due=_day(_text(row, "invoices_due_date")),
            )
    return list(found.values())


def standing(ref: InvoiceRef, all_rows: Sequence[object], unpaid_rows: Sequence[object]) -> Standing:
    """What the rows of get_client_invoices and those of get_client_unpaid_invoices say about `ref`."""
    paid_flag: bool | None = None
    payment: int | None = None
    for row in all_rows:
        kind = _whole(row, "invoices_type")
        if kind is None:
            continue
        number = _whole(row, "invoices_id")
        if kind == CHARGE and number == ref.number:
            # A deleted one counts: it left the list of unpaid ones, but not because it was paid.
            paid = _whole(row, "invoices_paid")
            paid_flag = None if paid is None else paid != 0
        deleted = _flag(row, "invoices_deleted")
        if kind >= FIRST_PAYMENT_KIND and not deleted and _whole(row, "invoices_extra") == ref.number:
            payment = number
    unpaid = any(found == ref for found, _row in _unpaid_charges(ref.module, unpaid_rows))
    return Standing(unpaid=unpaid, paid_flag=paid_flag, payment=payment)


def module_names(answer: object) -> tuple[str, ...]:
    """The names in an answer of get_modules that are names of modules; empty if there are none."""
    names = answer if isinstance(answer, list) else []
    # Not of one letter: see `rows`.
    return tuple(dict.fromkeys(name for name in names if _is_module(name) and len(name) > 1))


def _is_module(name: object) -> bool:
    if not isinstance(name, str):
        return False
    try:
        InvoiceRef(name, 1)
    except ValueError:
        return False
    return True


def _unpaid_charges(module: str, rows: Sequence[object]) -> Iterator[tuple[InvoiceRef, object]]:
    for row in rows:
        number = _whole(row, "invoices_id")
        if number is None or _whole(row, "invoices_type") != CHARGE:
            continue
        if _flag(row, "invoices_deleted") or _flag(row, "invoices_paid"):
            continue
        # A row of another module is that module's to pay, under its own name and no other.
        if (_text(row, "invoices_module") or module) != module:
            continue
        try:
            ref = InvoiceRef(module, number)
        except ValueError:
            continue
        yield ref, row


def _text(row: object, field: str) -> str | None:
    value = getattr(row, field, None)
    return value if isinstance(value, str) else None


def _whole(row: object, field: str) -> int | None:
    value = getattr(row, field, None)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return None


def _flag(row: object, field: str) -> bool:
    """Whether a flag is set: not if it is absent, but if it is there and cannot be read."""
    if getattr(row, field, None) is None:
        return False
    return _whole(row, field) != 0


MOST_PLACES = 6
"""Decimal places beyond which a number is no amount of money."""


def _amount(value: object) -> Decimal | None:
    """An exact amount with two places or more; None if it is none, negative, or beyond reason."""
    if isinstance(value, bool) or not isinstance(value, float | int | str | Decimal):
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
        return None
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -MOST_PLACES:
        return None
    return amount.quantize(_CENT) if exponent > -2 else amount


def _day(text: str | None) -> date | None:
    """The day of `2021-03-10 01:38:45`; None for `0000-00-00 00:00:00` and whatever is no date."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
