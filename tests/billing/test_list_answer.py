"""Lists of invoices, read a row at a time: whole or not at all, and referred to as other servers do."""

from __future__ import annotations

import re

import pytest
from zeep.exceptions import Fault

from bot.billing import list_answer
from bot.billing.list_answer import Row, read_list
from bot.billing.markup import MarkupRefused
from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import ALL, PAY, ROW, UNPAID, envelope, row, rows

NAME = "api_vps_get_client_invoices"


class Told:
    """The rows that were told."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(dict(row))


def read(body: bytes, *, status: int = 200, piece: int = 65536) -> list[Row] | None:
    """The rows of an answer, which comes in pieces; None where it is no list."""
    told = Told()
    pieces = (body[start : start + piece] for start in range(0, len(body), piece))
    count = read_list(NAME, pieces, status, told)
    assert count is None or count == len(told.rows)
    return None if count is None else told.rows


def listed(value: str) -> bytes:
    return nusoap.response(NAME, value)


EXPECTED = {
    name: None if value is None else str(value) for name, value in ROW.items() if name in list_answer.COLUMNS
}
EXPECTED["invoices_amount"] = "10"


class TestRows:
    def test_a_row_is_told_with_the_columns_that_are_wanted(self) -> None:
        """As texts, in order, and None for a NULL."""
        assert read(rows(ALL, row(), row(id=5, due_date=None))) == [
            EXPECTED,
            EXPECTED | {"invoices_id": "5", "invoices_due_date": None},
        ]
        assert read(rows(ALL)) == []
        assert read(listed("<return/>")) == []

    @pytest.mark.parametrize(
        ("attributes", "empty"),
        [
            ("", True),
            ('xsi:type="SOAP-ENC:Array"', True),
            ('xsi:type="array"', True),
            ('xsi:type="tns:array_of_rows"', True),
            ('SOAP-ENC:arrayType="x[0]"', True),
            ('xsi:type="tns:arrays"', False),
            ('xsi:type="xsd:string"', False),
            ('SOAP-ENC:arrayType="x[0]" xsi:nil="1"', False),
            ('SOAP-ENC:arrayType="x[0]" xsi:nil="true"', False),
        ],
    )
    def test_only_what_is_called_a_list_is_an_empty_one(self, attributes: str, empty: bool) -> None:
        """An empty text may be an error."""
        assert read(listed(f"<return {attributes}></return>")) == ([] if empty else None)

    def test_rows_make_a_list_of_whatever_it_is_called(self) -> None:
        """But not of one that holds something else as well."""
        assert read(listed(f'<return xsi:type="tns:rows">{row()}</return>')) == [EXPECTED]
        for strange in ("<x/>", "<x/><x/>", "<item/>", "<item/><x/>"):
            assert read(listed(f"<return>{row()}{strange}</return>")) is None

    @pytest.mark.parametrize("part", ["Envelope", "Header", "Body"])
    def test_what_is_no_envelope_is_none(self, part: str) -> None:
        """Each of its elements has its name and its namespace."""
        body = rows(ALL, row()).decode().replace("<SOAP-ENV:Body>", "<SOAP-ENV:Header/><SOAP-ENV:Body>")
        assert read(body.encode()) == [EXPECTED]
        with pytest.raises(MarkupRefused, match="no SOAP envelope"):
            read(body.replace(f"SOAP-ENV:{part}", part).encode())

    @pytest.mark.parametrize("nil", ["true", "1"])
    def test_a_column_without_a_text_of_its_own_is_null(self, nil: str) -> None:
        """It says so, or holds elements."""
        body = rows(ALL, row())
        amount = re.compile(rb"<invoices_amount[^>]*>10[^<]*</invoices_amount>")
        for instead in (
            f'<invoices_amount xsi:nil="{nil}">10</invoices_amount>',
            "<invoices_amount><b>10</b></invoices_amount>",
            "<invoices_amount>1<b>10</b>0</invoices_amount>",
        ):
            changed, count = amount.subn(instead.encode(), body)
            assert (count, read(changed)) == (1, [EXPECTED | {"invoices_amount": None}])

    @pytest.mark.parametrize("piece", [1, 7, 100])
    def test_the_pieces_it_comes_in_make_no_difference(self, piece: int) -> None:
        """Also where one ends inside a tag, or a character."""
        body = rows(ALL, row(description="caf\u00e9 <b> & \u20ac"), row(id=5))
        found = read(body, piece=piece)
        assert found == read(body)
        assert found is not None
        assert found[0]["invoices_description"] == "caf\u00e9 <b> & \u20ac"

    def test_a_text_without_end_is_not_kept_whole(self) -> None:
        """A column is cut once it is longer than any."""
        found = read(rows(ALL, row(description="x" * 5 * list_answer.MAX_COLUMN_CHARS)), piece=100)
        assert found is not None
        text = found[0]["invoices_description"]
        assert text is not None
        assert list_answer.MAX_COLUMN_CHARS <= len(text) < list_answer.MAX_COLUMN_CHARS + 100

    def test_a_list_that_breaks_off_anywhere_is_none(self) -> None:
        """What came before is never read as the whole."""
        body = rows(ALL, row(), row(id=5))
        for end in range(0, len(body), 13):
            with pytest.raises(MarkupRefused):
                read(body[:end])

    @pytest.mark.parametrize("said", [1, 3, 0, 999999999])
    def test_a_list_that_has_not_as_many_rows_as_it_says_is_none(self, said: int) -> None:
        """The rest was lost on the way, in well-formed XML."""
        body = rows(ALL, row(), row(id=5)).replace(b"sql_row_invoices[2]", b"sql_row_invoices[%d]" % said)
        with pytest.raises(MarkupRefused, match="as many rows"):
            read(body)

    @pytest.mark.parametrize(
        "value",
        [
            "",
            *('<return xsi:type="xsd:string"/>', '<return xsi:type="xsd:string">error</return>'),
            *('<return xsi:nil="true"/>', '<return xsi:type="xsd:boolean">false</return>'),
            "<return>nothing found</return>",
            nusoap.struct("result_status", {"status": "error", "status_text": "Access denied"}),
            nusoap.array("xsd:string", ["<item>a</item>"]),
            nusoap.array("tns:sql_row_invoices", [row(), '<item xsi:nil="true"/>']),
            nusoap.array("tns:sql_row_invoices", [row(), "<item>error</item>"]),
            *("<a/>", "<return/><return/>", "<return/>" + nusoap.array("tns:sql_row_invoices", [row()])),
            f"<return><wrapped>{row()}</wrapped></return>",
            row().replace("<item ", "<return ", 1).removesuffix("</item>") + "</return>",
        ],
    )
    def test_what_is_no_list_is_not_an_empty_one(self, value: str) -> None:
        """An error in place of the list must not read as "nothing is unpaid"."""
        assert read(listed(value)) is None

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html><body>Error</body></html>",
            b'<?xml version="1.0"?><Envelope><Body/></Envelope>',
            nusoap.empty(),
            rows(ALL, row()).replace(b'"ISO-8859-1"', b'"klingon"'),
            rows(ALL, row()).replace(b'"ISO-8859-1"', b'"shift_jis"'),
            rows(ALL, row()).replace(b"?>", b"?><!DOCTYPE x>", 1),
            rows(ALL, row()) + b"<more/>",
            rows(ALL, row()).replace(b">10101<", b">&#0;<"),
            rows(ALL, row().replace("</item>", "<invoices_paid>1</invoices_paid></item>")),
        ],
    )
    def test_what_is_no_answer_is_refused(self, body: bytes) -> None:
        """It is lost, whatever it may have been."""
        with pytest.raises(MarkupRefused):
            read(body)

    def test_a_fault_is_one_only_where_the_api_says_so(self) -> None:
        """Any other answer with a status of 500 is lost, also a good list."""
        with pytest.raises(Fault) as caught:
            read(nusoap.fault("Session expired", "SOAP-ENV:Server"), status=500)
        assert caught.value.code == "SOAP-ENV:Server"
        with pytest.raises(Fault):
            read(nusoap.fault("Session expired"))
        with pytest.raises(Fault) as caught:
            read(rows(ALL, row()), status=500)
        assert caught.value.code is None


def referring(*, columns: bool = False, array: bool = True) -> bytes:
    """Two rows as Axis writes them: the list, its rows, and perhaps their columns, stand after the answer."""
    items, parts = [], []
    for number in (10101, 5):
        text = row(id=number)
        if columns:
            text = text.replace(f'xsi:type="xsd:int">{number}<', f'href="#n{number}"><')
            parts.append(f'<multiRef id="n{number}" xsi:type="xsd:int">{number}</multiRef>')
        text = text.replace("<item ", f'<multiRef id="r{number}" ', 1).removesuffix("</item>") + "</multiRef>"
        items.append(f'<item href="#r{number}"/>')
        parts.append(text)
    value = nusoap.array("tns:sql_row_invoices", items)
    if array:
        parts.append(value.replace("<return ", '<multiRef id="a" ').replace("</return>", "</multiRef>"))
        value = '<return href="#a"/>'
    answer = f'<ns1:{NAME}Response xmlns:ns1="urn:myapi">{value}</ns1:{NAME}Response>'
    return envelope(answer + "".join(parts))


class TestReferences:
    @pytest.mark.parametrize("array", [True, False])
    @pytest.mark.parametrize("columns", [True, False])
    def test_rows_that_are_referred_to_are_read(self, columns: bool, array: bool) -> None:
        """In the list's order, as if they stood in it."""
        assert read(referring(columns=columns, array=array)) == [EXPECTED, EXPECTED | {"invoices_id": "5"}]

    def test_rows_may_stand_in_a_list_that_is_referred_to(self) -> None:
        """Only the list is elsewhere."""
        value = nusoap.array("tns:sql_row_invoices", [row(), row(id=5)])
        value = value.replace("<return ", '<multiRef id="a" ').replace("</return>", "</multiRef>")
        body = envelope(
            f'<ns1:{NAME}Response xmlns:ns1="urn:myapi"><return href="#a"/></ns1:{NAME}Response>{value}'
        )
        assert read(body) == [EXPECTED, EXPECTED | {"invoices_id": "5"}]

    def test_a_row_that_nothing_refers_to_is_in_no_list(self) -> None:
        """It stands in the answer, and not in the list."""
        body = (
            referring(array=False).replace(b'<item href="#r5"/>', b"").replace(b"invoices[2]", b"invoices[1]")
        )
        assert read(body) == [EXPECTED]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'href="#r5"', b'href="#nowhere"'),
            (b'href="#r5"', b'href="#n5"'),
            (b'href="#n5"', b'href="#gone"'),
            (b'id="r5"', b'id="r10101"'),
            (b'<multiRef id="n5" xsi:type="xsd:int">', b'<multiRef id="n5" href="#n5">'),
        ],
    )
    def test_a_reference_that_leads_nowhere_or_in_circles_is_refused(self, old: bytes, new: bytes) -> None:
        """A list with such a row was not read whole."""
        body = referring(columns=True, array=False)
        assert old in body
        with pytest.raises(MarkupRefused):
            read(body.replace(old, new))

    def test_references_are_kept_up_to_a_cap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What cannot be told at once costs memory: each row, what it refers to, and all of their columns."""
        kept = 1 + 2 + 2 * (1 + len(EXPECTED))
        monkeypatch.setattr(list_answer, "MAX_KEPT", kept)
        assert read(referring()) is not None
        monkeypatch.setattr(list_answer, "MAX_KEPT", kept - 1)
        with pytest.raises(MarkupRefused, match="more than can be kept"):
            read(referring())

    def test_a_row_of_the_list_is_kept_whose_column_stands_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With all of its columns."""
        told = row(id=5).replace('xsi:type="xsd:int">5<', 'href="#n5"><')
        value = nusoap.array("tns:sql_row_invoices", [told])
        answer = f'<ns1:{NAME}Response xmlns:ns1="urn:myapi">{value}</ns1:{NAME}Response>'
        body = envelope(f'{answer}<multiRef id="n5">5</multiRef>')
        kept = 1 + len(EXPECTED) + 1
        monkeypatch.setattr(list_answer, "MAX_KEPT", kept)
        assert read(body) == [EXPECTED | {"invoices_id": "5"}]
        monkeypatch.setattr(list_answer, "MAX_KEPT", kept - 1)
        with pytest.raises(MarkupRefused, match="more than can be kept"):
            read(body)

    def test_what_refers_to_nothing_is_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is told at once, however long the list."""
        monkeypatch.setattr(list_answer, "MAX_KEPT", 0)
        assert read(LIST.encode()) == [EXPECTED, EXPECTED | {"invoices_id": "5"}]


FAULT = "<SOAP-ENV:Fault><faultcode>Server</faultcode><faultstring>Aborted</faultstring></SOAP-ENV:Fault>"

END = "</SOAP-ENV:Body>"

LIST = rows(ALL, row(), row(id=5)).decode()

RESPONSE = LIST.partition("<SOAP-ENV:Body>")[2].partition(END)[0]

SPACES = " " * (list_answer.MAX_COLUMN_CHARS + 1)

BESIDE = {
    "a fault after it": LIST.replace(END, FAULT + END),
    "a fault before it": LIST.replace(RESPONSE, FAULT + RESPONSE),
    "a fault with an id": LIST.replace(END, FAULT.replace("Fault>", 'Fault id="f">', 1) + END),
    "a second response": LIST.replace(END, RESPONSE + END),
    "a second response with an id": LIST.replace(END, RESPONSE.replace(" ", ' id="r" ', 1) + END),
    "a second body": LIST.replace(END, f"{END}<SOAP-ENV:Body>{FAULT}{END}"),
    "a second body that is empty": LIST.replace(END, f"{END}<SOAP-ENV:Body/>"),
    "text after the rows": LIST.replace("</return>", "query aborted</return>"),
    "text, and then spaces": LIST.replace("</return>", "query aborted<!-- --> </return>"),
    "text between the rows": LIST.replace("</item><item", "</item>query aborted<item"),
    "text far behind": LIST.replace("</return>", f"{SPACES}query aborted</return>"),
    "text in a row": LIST.replace("</item>", "and so on</item>", 1),
    "text after the list": LIST.replace("</return>", "</return>query aborted"),
    "text after the response": LIST.replace(END, f"query aborted{END}"),
    "text after the body": LIST.replace(END, f"{END}query aborted"),
    "a value beside a reference": referring(array=False).decode().replace('"#r5"/>', '"#r5">gone</item>'),
    "a row beside a reference": referring(array=False).decode().replace('"#r5"/>', f'"#r5">{row()}</item>'),
    "a column beside a reference": referring(columns=True).decode().replace('"#n5"><', '"#n5">7<'),
    "a reference to elsewhere": listed('<return href="cid:list"/>').decode(),
}


class TestBesideTheRows:
    @pytest.mark.parametrize("what", BESIDE)
    def test_a_list_beside_which_something_else_is_said_is_none(self, what: str) -> None:
        """It may say that rows are missing, and an invoice that is missing reads as paid."""
        assert BESIDE[what] not in (LIST, referring(array=False).decode(), referring(columns=True).decode())
        with pytest.raises(MarkupRefused):
            read(BESIDE[what].encode())

    @pytest.mark.parametrize("operation", [UNPAID, PAY, "api_domains_get_client_invoices"])
    def test_the_list_of_another_operation_is_none(self, operation: str) -> None:
        """Of an unpaid list in place of the list of all, every invoice would be missing that was paid."""
        assert read(rows(operation, row())) is None
        assert read(rows(operation)) is None

    def test_a_text_far_behind_is_no_empty_list(self) -> None:
        """However many spaces stand before it."""
        assert read(listed(f"<return>{SPACES}error</return>")) is None

    def test_a_header_and_spaces_are_nothing_beside_a_list(self) -> None:
        """Gateways write both; nor is a fault less of one for the text in its detail."""
        header = '<SOAP-ENV:Header><h:id xmlns:h="urn:h">text <b/></h:id></SOAP-ENV:Header><SOAP-ENV:Body>'
        spaced = LIST.replace("<SOAP-ENV:Body>", header).replace("><", ">\n  <")
        found = read(spaced.encode())
        assert found is not None
        assert [one["invoices_id"] for one in found] == ["10101", "5"]
        with pytest.raises(Fault):
            read(
                envelope(
                    FAULT.replace(
                        "Aborted", "Aborted</faultstring><detail>at <i/> once</detail><faultstring>"
                    )
                )
            )
