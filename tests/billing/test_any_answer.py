"""Answers that nobody would write by hand, drawn: whatever comes, one that says no is never read as paid."""

from __future__ import annotations

import io
import time
from decimal import Decimal
from functools import cache
from importlib import resources

import requests
import urllib3
import zeep
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from zeep.exceptions import Fault

from bot.billing import markup, reading, wire
from bot.billing.calls import _Service
from bot.billing.list_answer import Row, read_list
from bot.billing.markup import MarkupRefused
from bot.billing.transport import open_transport
from bot.billing.wsdl import called_only
from bot.domain.payment import Outcome, Proof, Verdict
from bot.redaction import Redaction
from tests.billing.invoice_rows import MAIL, evidence, row
from tests.billing.scripted import ALL, PAY, envelope, rows
from tests.billing.scripted import outcome as answered
from tests.billing.scripted import row as written

NO_SECRETS = Redaction([])


NAMES = st.sampled_from(
    ["return", "status", "status_text", "Status", "multiRef", "item", "ns1:api_make_paymentResponse", "x"]
)
ATTRIBUTES = st.sampled_from(
    [
        *("", "", ' xsi:type="xsd:string"', ' xsi:nil="true"', ' xsi:nil="0"', ' xmlns="urn:x"'),
        *(' href="#a"', ' href="#b"', ' id="a"', ' id="b"', ' xsi:type="tns:make_payment_return"'),
    ]
)


def elements(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """XML around these texts: elements in elements, references, comments, CDATA, white space."""
    wrapped = st.builds(
        lambda text, way: way.replace("TEXT", text),
        texts,
        st.sampled_from(["TEXT", " TEXT\n", "<!--TEXT-->", "<![CDATA[TEXT]]>", "<!-- -->TEXT", ""]),
    )
    return st.recursive(
        wrapped,
        lambda inner: st.builds(
            lambda name, attributes, parts: f"<{name}{attributes}>{''.join(parts)}</{name.split()[0]}>",
            NAMES,
            ATTRIBUTES,
            st.lists(inner, max_size=4),
        ),
        max_leaves=4,
    )


def payments(status: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Answers of a payment with whatever in, before and after their fields."""
    field = st.builds(lambda text: f"<status>{text}</status>", elements(status))
    told = st.lists(field | elements(status), max_size=4).map("".join)
    value = st.builds(lambda attributes, inner: f"<return{attributes}>{inner}</return>", ATTRIBUTES, told)
    response = st.builds(
        lambda inner, after: (
            f'<ns1:{PAY}Response xmlns:ns1="urn:myapi">{inner}</ns1:{PAY}Response>{"".join(after)}'
        ),
        value | elements(status),
        st.lists(elements(status), max_size=3),
    )
    return response.map(envelope)


def mutated(document: bytes) -> st.SearchStrategy[bytes]:
    """It, with some of its slices left out, doubled, or put elsewhere."""
    place = st.integers(0, len(document))

    def changed(changes: list[tuple[str, int, int, int]]) -> bytes:
        body = document
        for what, *places in changes:
            start, end, to = sorted(min(one, len(body)) for one in places)
            cut = body[start:end]
            if what == "left out":
                body = body[:start] + body[end:]
            elif what == "doubled":
                body = body[:end] + cut + body[end:]
            else:
                body = body[:start] + body[end:to] + cut + body[to:]
        return body

    change = st.tuples(st.sampled_from(["left out", "doubled", "moved"]), place, place, place)
    return st.lists(change, min_size=1, max_size=3).map(changed)


@cache
def service() -> _Service:
    """The documented WSDL."""
    document = resources.files("bot.sandbox.local_billing").joinpath("myapi.wsdl").read_bytes()
    client = zeep.Client(  # type: ignore[no-untyped-call]
        io.BytesIO(called_only(document)),
        # It has the schema that the document imports, which is not to be asked of the network.
        transport=open_transport("http://127.0.0.1/", 1),
        settings=zeep.Settings(strict=True, forbid_dtd=True, force_https=False, raw_response=True),
    )
    [port] = next(iter(client.wsdl.services.values())).ports.values()
    return _Service(client, client.service, port.binding, frozenset(), frozenset())


def paid_or_not(body: bytes) -> Outcome | None:
    """What the answer to a payment is read as; None where it is refused."""
    response = requests.Response()
    response.status_code = 200
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    markup._let_through.clear()
    with wire.calling(wire.Call(time.monotonic() + 60)):
        try:
            return reading.outcome(service().read(PAY, response), NO_SECRETS)
        except Exception:  # noqa: BLE001 -- whatever it is, `_exchange` makes UNKNOWN of it
            return None


NOT_PAID = st.sampled_from(["error", "ERROR", " error", "failed", "", "0", "no"])
NOT_DECLINED = st.sampled_from(["ok", "OK", "ok ", "paid", "", "1", "true"])


class TestPayment:
    @settings(max_examples=40)
    @given(payments(NOT_PAID) | mutated(answered("error", "The card was declined.")))
    def test_one_that_says_nowhere_ok_is_never_paid(self, body: bytes) -> None:
        """Whatever is left out, doubled, moved, or referred to."""
        assume(b"ok" not in body.lower())
        found = paid_or_not(body)
        assert found is None or found.verdict is not Verdict.PAID

    @settings(max_examples=40)
    @given(payments(NOT_DECLINED) | mutated(answered("ok", "Paid with the card.")))
    def test_one_that_says_nowhere_error_is_never_declined(self, body: bytes) -> None:
        """What is declined may be paid again."""
        assume(b"error" not in body.lower())
        found = paid_or_not(body)
        assert found is None or found.verdict is not Verdict.DECLINED

    @settings(max_examples=40)
    @given(payments(st.sampled_from(["ok", "error"])))
    def test_one_that_says_both_is_believed_in_its_one_status_only(self, body: bytes) -> None:
        """A verdict needs exactly one status element with a text in the document's body."""
        found = paid_or_not(body)
        if found is not None and found.verdict is not Verdict.UNKNOWN:
            assert body.count(b"<status>") + body.count(b"<status ") == 1


TEXTS = st.text(st.characters(codec="iso-8859-1", exclude_categories=["Cc"]), max_size=30)
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.integers(-5, 10**12),
            "description": TEXTS,
            "amount": st.floats(0, 1e6) | TEXTS,
            "due_date": TEXTS | st.none(),
            "paid": st.sampled_from([0, 1, None, ""]),
        },
    ).map(lambda changes: written(**changes)),
    max_size=5,
)


def listed(body: bytes, piece: int) -> tuple[list[Row] | None, str]:
    """The rows of a list that comes in pieces of this size, and how its reading ended."""
    told: list[Row] = []

    class Told:
        def add(self, one: Row) -> None:
            told.append(dict(one))

    parts = (body[start : start + piece] for start in range(0, len(body), piece))
    try:
        count = read_list(ALL, parts, 200, Told())
    except (MarkupRefused, Fault) as error:
        return None, type(error).__name__
    if count is None:
        return None, "no list"
    assert count == len(told)
    return told, "read"


class TestLists:
    @given(ROWS, st.integers(1, 500))
    def test_a_list_is_read_whole_in_whatever_pieces_it_comes(self, items: list[str], piece: int) -> None:
        """Every row, in order."""
        body = rows(ALL, *items)
        found, how = listed(body, len(body))
        assert how == "read"
        assert found is not None
        assert len(found) == len(items)
        assert listed(body, piece) == (found, how)

    @given(st.data(), ROWS, st.integers(1, 500))
    def test_a_spoilt_list_is_refused_or_read_whole(
        self, data: st.DataObject, items: list[str], piece: int
    ) -> None:
        """It raises nothing but what its callers know, and pieces make no difference."""
        body = data.draw(mutated(rows(ALL, *items)))
        assert listed(body, piece) == listed(body, len(body))


ODD = st.sampled_from([None, "", "0", "1", "-1", "true", "false", "1.0", " 1 ", "NULL", "١", "10"])
"""Of a flag or a kind."""


def any_row(number: st.SearchStrategy[str | None]) -> st.SearchStrategy[Row]:
    return st.builds(
        row,
        id=number,
        extra=number,
        type=st.sampled_from(["1", "10", "11", "2", None, "x", "0"]),
        paid=ODD,
        deleted=ODD,
        module=st.sampled_from(["mail", "mail", "vps", None, "", "Mail"]),
        amount=st.sampled_from(["1.00", "0", "-1.00", "x", None]),
    )


ABOUT = any_row(st.sampled_from([str(MAIL.number), "7514881", "90001", None, "x"]))
OTHERS = any_row(st.sampled_from(["7514881", "90001", "5"]))


def _paid(proof: Proof | None) -> bool:
    return proof in (Proof.PAYMENT_ROW, Proof.PAID_FLAG, Proof.ABSENCE)


class TestEvidence:
    @given(st.lists(ABOUT, max_size=4), st.lists(ABOUT, max_size=4))
    def test_what_still_stands_among_the_unpaid_is_never_proved_paid(
        self, everything: list[Row], unpaid: list[Row]
    ) -> None:
        """Whatever else both lists say of it."""
        assert not _paid(evidence(everything, [*unpaid, row()]).proof)

    @given(st.lists(OTHERS, max_size=4), st.lists(OTHERS, max_size=4))
    def test_rows_of_others_prove_no_more_than_that_it_is_gone(
        self, everything: list[Row], unpaid: list[Row]
    ) -> None:
        """No payment and no flag of another invoice is taken for its own; nor is it still unpaid."""
        assert evidence(everything, unpaid).proof in (None, Proof.ABSENCE)

    @given(st.lists(ABOUT, max_size=4), st.lists(ABOUT, max_size=4))
    def test_the_order_of_rows_makes_no_difference(self, everything: list[Row], unpaid: list[Row]) -> None:
        """Of a list that was sorted in another way the same is believed."""
        assert evidence(everything, unpaid).proof == evidence(everything[::-1], unpaid[::-1]).proof


class TestAmounts:
    @given(st.decimals(0, 10**9, places=2, allow_nan=False), st.sampled_from(["", " ", "\n"]))
    def test_an_amount_in_cents_is_read_exactly(self, amount: Decimal, blank: str) -> None:
        """As it was written, and as the float that PHP would write for it."""
        for told in (str(amount), repr(float(amount)), f"{amount:E}"):
            assert reading._amount(blank + told + blank) == amount

    @given(st.text(max_size=12) | st.text("0123456789.eE+-, ", max_size=12))
    def test_whatever_else_stands_there_is_no_amount_or_one_that_is_not_negative(self, told: str) -> None:
        """And never more than there may be."""
        amount = reading._amount(told)
        assert amount is None or 0 <= amount < reading.MAX_AMOUNT
