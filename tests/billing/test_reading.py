"""Answers of the billing API, good and odd, read into the words of the domain."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest

from bot.billing import reading
from bot.domain.payment import InvoiceRef, Standing, Verdict

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


def row(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(**(DOCUMENTED | {f"invoices_{name}": new for name, new in changes.items()}))


def payment(**changes: object) -> SimpleNamespace:
    return row(**{"id": 90001, "type": 10, "extra": 7514880, "paid": 1} | changes)


def test_the_documented_row_is_read_whole() -> None:
    """Every field that the bot shows comes from the row, exactly."""
    [invoice] = reading.invoices("mail", [row()])
    assert invoice.ref == MAIL
    assert invoice.description == "(Repeat Invoice: 19156909) MailBaby Mail"
    assert (str(invoice.amount), invoice.currency) == ("1.00", "USD")
    assert invoice.due == date(2021, 3, 10)


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (49.99, "49.99"),
        (640.0, "640.00"),
        (0.1, "0.10"),
        (0.0, "0.00"),
        (7, "7.00"),
        ("12.5", "12.50"),
        (1.005, "1.005"),
        (1e6, "1000000.00"),
        (Decimal("3.1"), "3.10"),
        ("0.000001", "0.000001"),
    ],
)
def test_an_amount_is_exact_and_has_two_places(told: object, amount: str) -> None:
    """A float becomes the decimal that it was written as; places are added, never rounded away."""
    [invoice] = reading.invoices("mail", [row(amount=told)])
    assert str(invoice.amount) == amount


@pytest.mark.parametrize(
    "told",
    [
        *(None, "", "ten", -5.0, float("nan"), float("inf"), 1e300, "1e999", True, [], "-0.01"),
        *(1e-45, "1e-45", Decimal("1e-45"), "0.0000001", "10." + "0" * 40),
    ],
)
def test_an_amount_that_cannot_be_trusted_is_no_invoice(told: object) -> None:
    """No amount, a negative one, or nonsense: the invoice is not told, so it needs every approval."""
    assert reading.invoices("mail", [row(amount=told)]) == []


@pytest.mark.parametrize("module", ["mail", "", None])
def test_a_row_of_the_module_that_was_asked_for_is_its_invoice(module: str | None) -> None:
    """Also where the row does not say whose it is."""
    assert [one.ref for one in reading.invoices("mail", [row(module=module)])] == [MAIL]
    assert reading.standing(MAIL, [], [row(module=module)]).unpaid


def test_a_row_of_another_module_is_left_out() -> None:
    """One invoice in the lists of two modules must not be paid under both names."""
    assert reading.invoices("mail", [row(module="vps")]) == []
    assert not reading.standing(MAIL, [], [row(module="vps")]).unpaid


@pytest.mark.parametrize("told", [None, "", "dollars", 5])
def test_a_currency_that_cannot_be_read_is_no_invoice(told: object) -> None:
    """An amount without its currency is no amount."""
    assert reading.invoices("mail", [row(currency=told)]) == []


@pytest.mark.parametrize("told", [None, "0000-00-00 00:00:00", "soon", "", "2021-02-30 00:00:00", 20210310])
def test_a_broken_due_date_is_none(told: object) -> None:
    """A due date that is none leaves the invoice as it is."""
    [invoice] = reading.invoices("mail", [row(due_date=told)])
    assert invoice.due is None


@pytest.mark.parametrize("told", [None, "", "cafÃ© \u0085 \ufffd", "<!channel> & <b>"])
def test_a_description_is_taken_as_it_is(told: str | None) -> None:
    """Nothing is dropped, mended or escaped here."""
    [invoice] = reading.invoices("mail", [row(description=told)])
    assert invoice.description == (told or "")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": 10},
        {"type": 2},
        {"type": None},
        {"paid": 1},
        {"deleted": 1},
        {"deleted": "yes"},
        {"id": None},
        {"id": 0},
        {"id": -7},
        {"id": 2**31},
        {"id": "7.5"},
        {"id": 7.5},
    ],
)
def test_only_unpaid_charges_with_a_proper_number_are_invoices(changes: dict[str, object]) -> None:
    """Payments, paid and deleted charges, and rows without a usable number are passed over."""
    assert reading.invoices("mail", [row(**changes)]) == []
    assert not reading.standing(MAIL, [], [row(**changes)]).unpaid


def test_numbers_and_flags_may_come_as_texts() -> None:
    """MySQL's values reach PHP as texts, and may keep that type on the way."""
    texts = row(id="7514880", type="1", paid="0", deleted="0", amount="1.00")
    [invoice] = reading.invoices("mail", [texts])
    assert (invoice.ref, str(invoice.amount)) == (MAIL, "1.00")


def test_an_invoice_listed_twice_is_one() -> None:
    """The same number twice is the same invoice."""
    assert len(reading.invoices("mail", [row(), row()])) == 1


@pytest.mark.parametrize(
    "answer", [None, "", "error", ["e", "r"], [None], [SimpleNamespace(status="error")], {}, 0]
)
def test_what_is_no_list_of_rows_is_not_an_empty_one(answer: object) -> None:
    """An error in place of the list must not read as "nothing is unpaid"."""
    assert reading.rows(answer) is None


def test_an_empty_list_is_a_list() -> None:
    """No rows are an answer too."""
    assert reading.rows([]) == []


def test_standing_of_an_unpaid_invoice() -> None:
    """Listed as unpaid, its own row not paid, no payment."""
    assert reading.standing(MAIL, [row()], [row()]) == Standing(True, False, None)


def test_standing_of_a_paid_invoice() -> None:
    """Not listed as unpaid, its own row paid, and the payment that names it."""
    everything = [row(paid=1), payment(), payment(id=90002, extra=5)]
    assert reading.standing(MAIL, everything, []) == Standing(False, True, 90001)


def test_standing_of_an_invoice_nobody_lists() -> None:
    """Nothing is claimed of an invoice without a row."""
    assert reading.standing(MAIL, [row(id=5)], [row(id=5)]) == Standing(False, None, None)


@pytest.mark.parametrize("changes", [{"deleted": 1}, {"type": 1}, {"extra": 5}, {"extra": None}])
def test_a_payment_counts_only_if_it_stands_and_names_the_invoice(
    changes: dict[str, object],
) -> None:
    """A deleted payment, or one of another charge, proves nothing."""
    assert reading.standing(MAIL, [row(), payment(**changes)], []).payment is None


def test_a_deleted_invoice_was_not_paid_for_that() -> None:
    """It is in no list of unpaid ones, but its row still says whether it was paid."""
    assert reading.standing(MAIL, [row(deleted=1)], []) == Standing(False, False, None)
    assert reading.standing(MAIL, [row(deleted=1, paid=1)], []) == Standing(False, True, None)


def test_standing_does_not_need_a_readable_amount() -> None:
    """An invoice whose amount is nonsense is still unpaid."""
    assert reading.standing(MAIL, [], [row(amount=None)]).unpaid


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("ok", Verdict.PAID),
        (" OK\n", Verdict.PAID),
        ("error", Verdict.DECLINED),
        ("Error ", Verdict.DECLINED),
        ("", Verdict.UNKNOWN),
        ("success", Verdict.UNKNOWN),
        ("okay", Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
        (True, Verdict.UNKNOWN),
        (0, Verdict.UNKNOWN),
    ],
)
def test_a_status_is_read_without_case_and_blanks(status: object, verdict: Verdict) -> None:
    """ok is paid, error is declined, anything else is unknown; the text is kept as it came."""
    outcome = reading.outcome(SimpleNamespace(status=status, status_text=" As it is "))
    assert outcome.verdict is verdict
    assert outcome.status == (status if isinstance(status, str) else None)
    assert outcome.status_text == " As it is "


@pytest.mark.parametrize("answer", [None, "ok", ["ok"], True, {"status": "ok"}])
def test_an_answer_of_another_shape_is_unknown(answer: object) -> None:
    """Only a status in its own place counts."""
    assert reading.outcome(answer).verdict is Verdict.UNKNOWN


def test_module_names_are_checked() -> None:
    """What cannot be the name of a module is left out, and so are letters of a text, and repeats."""
    told = ["vps", "mail", "VPS", "v", "../etc", "", None, 5, "vps", "x" * 65, "floating_ips"]
    assert reading.module_names(told) == ("vps", "mail", "floating_ips")
    assert reading.module_names("error") == ()
    assert reading.module_names(None) == ()
