"""Answers of the billing API, good and odd, read into the words of the domain."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest

from bot.billing import reading
from bot.billing.list_answer import Row
from bot.billing.transport import AnswerTooLarge
from bot.domain.payment import Invoice, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.redaction import Redaction
from tests.billing.invoice_rows import MAIL, evidence, row

NO_SECRETS = Redaction([])


def read(module: str, rows: list[Row]) -> UnpaidList:
    """What a list of unpaid invoices says."""
    unpaid = reading.UnpaidCharges(module, NO_SECRETS)
    for one in rows:
        unpaid.add(one)
    return unpaid.found()


def invoices(module: str, rows: list[Row]) -> list[Invoice]:
    """The invoices in it, at amounts that can be read."""
    return list(read(module, rows).invoices)


class TestInvoices:
    def test_the_documented_row_is_read_whole(self) -> None:
        """Every field that the bot shows comes from the row, exactly."""
        [invoice] = invoices("mail", [row()])
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
            ("49.990000000000002", "49.99"),
            ("1.0E+3", "1000.00"),
            ("  7 ", "7.00"),
            ("0e5", "0.00"),
            ("0.000001", "0.000001"),
        ],
    )
    def test_an_amount_is_exact_and_has_two_places(self, told: object, amount: str) -> None:
        """A float becomes the decimal that it was written as; places are added, never rounded away."""
        [invoice] = invoices("mail", [row(amount=told)])
        assert str(invoice.amount) == amount

    @pytest.mark.parametrize(
        "told",
        [
            *(None, "", "ten", -5.0, float("nan"), float("inf"), 1e300, "1e999", True, [], "-0.01", "-0"),
            *(
                1e-45,
                "1e-45",
                "1e-400",
                "1e400",
                "0.0000001",
                "INF",
                "NaN",
                "sNaN",
                "+5",
                "1_000",
                "1,000.00",
            ),
            *("\u0661\u0660", "0x10", "9" * 5000, "1" + "0" * 12, "1e1e1", "5;", "5\x00"),
        ],
    )
    def test_an_amount_that_cannot_be_trusted_is_no_invoice(self, told: object) -> None:
        """No amount, a negative one, or nonsense: the invoice is not told, so it needs every approval."""
        assert invoices("mail", [row(amount=told)]) == []

    @pytest.mark.parametrize("module", ["mail", "", None])
    def test_a_row_of_the_module_that_was_asked_for_is_its_invoice(self, module: str | None) -> None:
        """Also where the row does not say whose it is: the API is asked to pay it by this module's name."""
        assert [one.ref for one in invoices("mail", [row(module=module)])] == [MAIL]

    def test_a_row_of_another_module_is_left_out(self) -> None:
        """One invoice in the lists of two modules must not be paid under both names."""
        assert invoices("mail", [row(module="vps")]) == []
        assert not evidence([], [row(module="vps")]).unpaid

    @pytest.mark.parametrize("told", [None, "", "dollars", 5, "US\u202e", "USD\x07", "ÜSD", "U\x00S", "U S"])
    def test_a_currency_that_cannot_be_read_is_no_invoice(self, told: object) -> None:
        """An amount without its currency is no amount."""
        assert invoices("mail", [row(currency=told)]) == []

    @pytest.mark.parametrize(
        "told", [None, "0000-00-00 00:00:00", "soon", "", "2021-02-30 00:00:00", 20210310, "2021-W10-3"]
    )
    def test_a_broken_due_date_is_none(self, told: object) -> None:
        """A due date that is none leaves the invoice as it is."""
        [invoice] = invoices("mail", [row(due_date=told)])
        assert invoice.due is None

    @pytest.mark.parametrize("told", [None, "", "cafÃ© \u0085 \ufffd", "<!channel> & <b>"])
    def test_a_description_is_taken_as_it_is(self, told: str | None) -> None:
        """Nothing is dropped, mended or escaped here."""
        [invoice] = invoices("mail", [row(description=told)])
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
    def test_only_unpaid_charges_with_a_proper_number_are_invoices(self, changes: dict[str, object]) -> None:
        """Payments, paid and deleted charges, and rows without a usable number are passed over."""
        assert invoices("mail", [row(**changes)]) == []
        assert not evidence([], [row(**changes)]).unpaid

    def test_numbers_and_flags_may_come_as_texts(self) -> None:
        """MySQL's values reach PHP as texts, and may keep that type on the way."""
        texts = row(id="7514880", type="1", paid="0", deleted="0", amount="1.00")
        [invoice] = invoices("mail", [texts])
        assert (invoice.ref, str(invoice.amount)) == (MAIL, "1.00")

    def test_an_invoice_listed_twice_is_one(self) -> None:
        """The same number twice is the same invoice."""
        assert len(invoices("mail", [row(), row()])) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"amount": 900},
            {"amount": "NaN"},
            {"currency": "EUR"},
            {"currency": None},
            {"paid": 1},
            {"deleted": 1},
        ],
    )
    def test_an_invoice_that_is_listed_at_two_prices_has_none(self, other: dict[str, object]) -> None:
        """Whichever row comes last: approved at the one, it might be paid at the other."""
        beside = row(id=1)
        for rows in ([row(), row(**other)], [row(**other), row()], [row(), row(**other), row()]):
            assert [one.ref.number for one in invoices("mail", [*rows, beside])] == [1]

    @pytest.mark.parametrize(
        "rows",
        [
            [{"amount": "1,234.56"}],
            [{"amount": -5}],
            [{"amount": None}],
            [{"currency": ""}],
            [{"currency": "$"}],
            [{"module": None, "currency": ""}],
            [{}, {"amount": 2}],
            [{}, {"paid": 1}],
            [{"paid": 1}, {}],
            [{"currency": ""}, {}],
        ],
        ids=str,
    )
    def test_what_is_unpaid_at_an_amount_that_cannot_be_read_is_no_invoice_and_is_not_away(
        self, rows: list[dict[str, object]]
    ) -> None:
        """It stands in the list: nobody may say that it does not, or that the list is empty."""
        found = read("mail", [row(**one) for one in rows])
        assert (found.invoices, found.unclear) == ((), (MAIL,))

    @pytest.mark.parametrize(
        "changes", [{"paid": 1}, {"deleted": 1}, {"type": 10}, {"module": "vps"}], ids=str
    )
    def test_what_is_not_unpaid_is_in_no_list_of_it(self, changes: dict[str, object]) -> None:
        """A row that says so itself, of another kind, or of another module."""
        rows = [row(**changes), row(**changes | {"currency": ""})]
        assert read("mail", rows) == UnpaidList(others=True)

    def test_more_invoices_than_can_be_held_are_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not a list that lacks some."""
        monkeypatch.setattr(reading, "MAX_INVOICES", 3)
        assert len(invoices("mail", [row(id=number) for number in (1, 2, 3)])) == 3
        with pytest.raises(AnswerTooLarge):
            invoices("mail", [row(id=number) for number in (1, 2, 3, 4)])


class TestTexts:
    @pytest.mark.parametrize(
        ("told", "stored"),
        [
            ("café \u20ac", "café \u20ac"),
            ("nul\x00led", "nulled"),
            ("half \ud83d pair", "half ? pair"),
            ("x" * 16_000, "x" * 16_000),
            ("x" * 16_001, "x" * (16_000 - len(reading.CUT.encode())) + reading.CUT),
            ("password hunter2, session 0f,A-9876543210abcd", "password [redacted], session [redacted]"),
            (
                "a&amp;bc and a&amp;amp;bc in XML, a%26bc in an address",
                "[redacted] and [redacted] in XML, [redacted] in",
            ),
            ("0123456789abcdef0123456789ABCDEF", "[redacted]"),
            ("xoxb-1-abc", "[redacted]"),
        ],
    )
    def test_a_text_is_stored_without_secrets_and_no_longer_than_it_may_be(
        self, told: str, stored: str
    ) -> None:
        """It is whole UTF-8 that PostgreSQL takes, and what was cut says so."""
        redaction = Redaction(["hunter2", "0f,A-9876543210abcd", "a&bc"])
        found = reading.kept(told, redaction)
        assert found.startswith(stored)
        assert len(found.encode()) <= reading.MAX_TEXT_BYTES

    def test_a_text_of_many_bytes_is_cut_between_characters(self) -> None:
        """Four bytes each, so that the cut falls into one."""
        found = reading.kept("\U0001f600" * 5_000, NO_SECRETS)
        assert found.endswith("\U0001f600" + reading.CUT)
        assert 15_990 < len(found.encode()) <= 16_000

    def test_a_secret_that_lies_across_the_cut_is_not_kept_in_half(self) -> None:
        """What is no secret by its first half is taken out before anything is cut."""
        secret = "s3cret-" * 10
        found = reading.kept("x" * 15_970 + secret, Redaction([secret]))
        assert "s3cret" not in found

    def test_a_description_is_kept_short(self) -> None:
        """Twenty thousand of them may be held at once."""
        [invoice] = invoices("mail", [row(description="d" * 4_000)])
        assert len(invoice.description.encode()) == reading.MAX_DESCRIPTION_BYTES
        assert invoice.description.endswith(reading.CUT)


PLAUSIBLE = (
    "paid",
    "failed",
    "fail",
    "failure",
    "declined",
    "refused",
    "pending",
    "warning",
    "1",
    "0",
    "err",
)
"""What other servers say, and this one is not known to: none of them says whether it was paid."""


class TestOutcomes:
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
            *((word, Verdict.UNKNOWN) for word in PLAUSIBLE),
            (None, Verdict.UNKNOWN),
            (True, Verdict.UNKNOWN),
            (0, Verdict.UNKNOWN),
        ],
    )
    def test_a_status_is_read_without_case_and_blanks(self, status: object, verdict: Verdict) -> None:
        """ok is paid, error is declined, anything else is unknown; the text is kept as it came."""
        outcome = reading.outcome(SimpleNamespace(status=status, status_text=" As it is "), NO_SECRETS)
        assert outcome.verdict is verdict
        assert outcome.status == (status if isinstance(status, str) else None)
        assert outcome.status_text == " As it is "

    @pytest.mark.parametrize("answer", [None, "ok", ["ok"], True, {"status": "ok"}])
    def test_an_answer_of_another_shape_is_unknown(self, answer: object) -> None:
        """Only a status in its own place counts."""
        outcome = reading.outcome(answer, NO_SECRETS)
        assert (outcome.verdict, outcome.evidence) == (Verdict.UNKNOWN, "answered without a status")


class TestModuleNames:
    def test_module_names_are_checked(self) -> None:
        """What cannot be the name of a module is left out, and so are letters of a text, and repeats."""
        odd = ["vps\n", "vps\x00", "vp\u0455", "v-p", "1vps", "vps ", "<b>", True, ["vps"], "a" + "0" * 31]
        told = ["vps", "mail", "VPS", "v", "../etc", "", None, 5, "vps", "x" * 65, "floating_ips", *odd]
        assert reading.module_names(told, NO_SECRETS) == ("vps", "mail", "floating_ips")
        assert reading.module_names(["x", "hd"], NO_SECRETS) == ("hd",)
        assert reading.module_names("error", NO_SECRETS) == ()
        assert reading.module_names(None, NO_SECRETS) == ()
        assert reading.module_names(["hunter2", "vps"], Redaction(["hunter2"])) == ("vps",)
        assert len(reading.module_names([f"m{number}" for number in range(500)], NO_SECRETS)) == 100
