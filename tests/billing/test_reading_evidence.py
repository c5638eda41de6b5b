"""What both lists prove about an invoice."""

from __future__ import annotations

from itertools import permutations

import pytest

from bot.billing.list_answer import Row
from bot.domain.payment import InvoiceEvidence, Proof
from tests.billing.invoice_rows import MAIL, evidence, payment, row

OTHER = row(id=5)
"""Another unpaid charge: the list that holds it is no empty one."""


def test_evidence_of_an_unpaid_invoice() -> None:
    """Listed as unpaid, its own row not paid, no payment."""
    found = evidence([row()], [row()])
    assert found == InvoiceEvidence(True, False, None)
    assert found.proof is Proof.STILL_UNPAID


def test_evidence_of_a_paid_invoice() -> None:
    """Not listed as unpaid, its own row paid, and the payment that names it."""
    everything = [row(paid=1), payment(), payment(id=90002, extra=5)]
    found = evidence(everything, [])
    assert found == InvoiceEvidence(False, True, 90001)
    assert found.proof is Proof.PAYMENT_ROW
    assert evidence([row(paid=1)], []).proof is Proof.PAID_FLAG


def test_the_list_of_all_is_not_needed_for_what_the_unpaid_one_tells() -> None:
    """Unpaid is proven by its row; absence by a list that holds others."""
    assert evidence(None, [row()]) == InvoiceEvidence(True, None, None, history=False)
    assert evidence(None, [row()]).proof is Proof.STILL_UNPAID
    assert evidence(None, [OTHER]) == InvoiceEvidence(False, None, None, gone=True, history=False)
    assert evidence(None, [OTHER]).proof is Proof.ABSENCE


@pytest.mark.parametrize(
    "unpaid", [[], [row(id=5, module="vps")], [row(id=5, module=None)], [row(id=5, paid=1)]]
)
def test_absence_from_a_list_without_another_unpaid_charge_proves_nothing(unpaid: list[Row]) -> None:
    """Two empty lists are what an API says that has lost its database."""
    assert evidence([], unpaid).proof is None
    assert evidence(None, unpaid).proof is None


@pytest.mark.parametrize(
    "changes",
    [
        *({"module": "vps"}, {"module": ""}, {"module": None}, {"paid": 1}, {"deleted": 1}, {"paid": "odd"}),
        *({"id": None}, {"id": "7514880.0"}, {"type": 10}, {"type": "odd"}),
    ],
)
def test_a_row_that_may_be_about_it_is_no_absence(changes: dict[str, object]) -> None:
    """Neither is it one of an invoice that is still unpaid."""
    assert evidence([], [OTHER, row(**changes)]).proof is None


@pytest.mark.parametrize("module", ["vps", "MAIL", " mail", "", None])
def test_rows_count_only_for_their_own_module(module: str | None) -> None:
    """A paid invoice, or a payment, of the same number in another module, or in none, proves nothing."""
    assert evidence([row(paid=1, module=module)], []).proof is None
    assert evidence([payment(module=module)], []).proof is None
    assert evidence([row(paid=1, module=module), payment(module=module)], [OTHER]).proof in (
        Proof.ABSENCE,
        None,
    )


@pytest.mark.parametrize("rows", list(permutations([row(), row(paid=1), OTHER])))
def test_no_row_takes_back_what_another_says(rows: list[Row]) -> None:
    """In whatever order they stand: it is unpaid, and it is not clear whether it is."""
    found = evidence([], rows)
    assert (found.unpaid, found.unclear) == (True, True)
    others = [row(id=6, paid=1) if one == row(paid=1) else one for one in rows if one != row()]
    assert evidence([], others).gone


@pytest.mark.parametrize(
    "rows",
    [
        [row(id=5, paid=1)],
        [payment(id=MAIL.number, extra=5)],
        [row(type=None, paid=1)],
        [row(type="odd", paid=1), payment(type="odd")],
    ],
)
def test_what_is_neither_its_charge_nor_a_payment_of_it_says_nothing(rows: list[Row]) -> None:
    """Another charge, another's payment that has its number, and a row of no kind."""
    assert evidence(rows, []) == InvoiceEvidence(False, None, None)


def test_a_row_of_another_module_does_not_hide_ours() -> None:
    """Neither of the two charges of one number speaks for the other."""
    assert evidence([row(paid=1, module="vps"), row()], [row()]).proof is Proof.STILL_UNPAID
    assert evidence([row(module="vps"), row(paid=1)], []).proof is Proof.PAID_FLAG
    assert evidence([row(paid=1)], [row(module="vps")]).proof is Proof.PAID_FLAG


@pytest.mark.parametrize(
    "rows",
    [
        [row(paid=1), row()],
        [row(paid=1), row(paid="odd")],
        [row(paid=1), row(paid=1, module=None)],
        [row(paid=""), payment()],
        [row(), payment()],
        [payment(id="odd")],
    ],
)
def test_rows_that_contradict_each_other_prove_nothing(rows: list[Row]) -> None:
    """Whatever the list of unpaid ones says."""
    for unpaid in ([], [OTHER]):
        assert evidence(rows, unpaid).proof is None
    if rows != [row(), payment()]:
        assert evidence(rows, [row()]).proof is None


def test_an_unpaid_invoice_that_is_also_shown_as_paid_proves_nothing() -> None:
    """By its flag, or by a payment; nor does one that the list of unpaid ones calls paid."""
    assert evidence([row(paid=1)], [row()]).proof is None
    assert evidence([row(), payment()], [row()]).proof is None
    assert evidence([row(paid=1)], [row(paid=1)]).proof is None


@pytest.mark.parametrize("changes", [{"deleted": 1}, {"type": 1}, {"type": 9}, {"extra": 5}, {"extra": None}])
def test_a_payment_counts_only_if_it_stands_and_names_the_invoice(changes: dict[str, object]) -> None:
    """A deleted payment, or one of another charge, proves nothing."""
    assert evidence([row(), payment(**changes)], []).payment is None


@pytest.mark.parametrize(
    "changes",
    [
        *({"paid": 0}, {"paid": "false"}, {"paid": None}, {"paid": "odd"}),
        *({"amount": "0"}, {"amount": "0.00"}, {"amount": "-1.00"}, {"amount": None}, {"amount": "odd"}),
    ],
)
def test_a_payment_row_that_moved_no_money_proves_nothing(changes: dict[str, object]) -> None:
    """One that is pending, failed or a refund: neither paid nor unpaid is said for it."""
    for unpaid in ([], [OTHER], [row()]):
        for everything in (
            [payment(**changes)],
            [row(), payment(**changes)],
            [row(paid=1), payment(**changes)],
        ):
            found = evidence(everything, unpaid)
            assert (found.payment, found.unclear, found.proof) == (None, True, None)
    assert evidence([payment(paid="true", amount="0.01")], []).proof is Proof.PAYMENT_ROW


def test_a_refund_beside_a_payment_proves_nothing() -> None:
    """In whatever order they stand."""
    refund = payment(id=90002, type=20, amount="-1.00")
    assert evidence([payment(), refund], [OTHER]).proof is None
    assert evidence([refund, payment()], [OTHER]).proof is None


def test_a_deleted_invoice_was_not_paid_for_that() -> None:
    """It is in no list of unpaid ones, but its row still says whether it was paid."""
    assert evidence([row(deleted=1)], []) == InvoiceEvidence(False, False, None)
    assert evidence([row(deleted=1)], [OTHER]).proof is None
    assert evidence([row(deleted=1, paid=1)], []).proof is Proof.PAID_FLAG


def test_evidence_does_not_need_a_readable_amount() -> None:
    """An invoice whose amount is nonsense is still unpaid."""
    assert evidence([], [row(amount=None)]).unpaid


@pytest.mark.parametrize(("told", "flag"), [("true", True), ("FALSE", False), ("1", True), ("0", False)])
def test_a_flag_may_be_a_boolean(told: str, flag: bool) -> None:
    """NuSOAP writes what PHP holds."""
    assert evidence([row(paid=told)], []).paid_flag is flag
