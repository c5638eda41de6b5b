"""Rows that are read without the parser are those that it would read: the same rows, the same words."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import Buffer
from zeep.exceptions import Fault

from bot.billing import list_answer, markup, plain_rows
from bot.billing.list_answer import COLUMNS, Row, _ListAnswer, read_list
from bot.billing.markup import MarkupRefused, Reader
from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import ALL, envelope, row, rows
from tests.billing.test_any_answer import TEXTS, mutated
from tests.billing.test_hostile_bodies import BODIES
from tests.billing.test_list_answer import BESIDE, referring


class Told(list[Row]):
    """The rows that were told, in order."""

    def add(self, row: Row) -> None:
        self.append(dict(row))


Found = tuple[list[Row], object]
"""The rows that were told, and their number or what was raised, in its words."""


def cut(body: bytes, piece: int) -> Iterator[bytes]:
    return (body[start : start + piece] for start in range(0, len(body), piece))


def found(body: bytes, piece: int, read: Callable[[Iterator[bytes], Told], int | None]) -> Found:
    told = Told()
    try:
        return told, read(cut(body, piece), told)
    except (MarkupRefused, Fault) as error:
        return told, (type(error), str(error), getattr(error, "code", None))


def by_the_parser_alone(pieces: Iterator[bytes], rows: Told) -> int | None:
    """How every row was read before any was read in another way."""
    answer = _ListAnswer(f"{ALL}Response", rows)
    reader = Reader(answer, namespaces=True)
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    if answer.fault is not None:
        raise Fault("the API answered with a fault", code=answer.fault.fields.get("faultcode"))  # type: ignore[no-untyped-call]
    return answer.finish()


def assert_alike(body: bytes, piece: int = 65536) -> Found:
    (told, end), (expected, ended) = (
        found(body, piece, lambda pieces, rows: read_list(ALL, pieces, 200, rows)),
        found(body, piece, by_the_parser_alone),
    )
    assert (told, end) == (expected, ended)
    return told, end


COLUMN_TEXTS = st.sampled_from(
    ["", "0", "1", "10.00", "vps", " 5 ", "a%b", "x" * 999, "x" * 1001, "x" * 4001]
)
KINDS = st.sampled_from(
    [
        *("", ' xsi:type="xsd:int"', ' xsi:type="xsd:string"', ' xsi:nil="true"', ' xsi:nil="0"'),
        *(' href="#a"', ' id="a"', ' xmlns:q="urn:q"', ' q:type="x"', " xsi:type='xsd:int'"),
        ' xsi:type="a" xsi:type="a"',
    ]
)
MARKED = st.sampled_from(
    ["&amp;", "&#37;", "<![CDATA[5]]>", "<!-- 5 -->", "<b/>", "\n", "\r\n", "é", "]]", "]]>"]
)
NAMES = st.sampled_from([*sorted(COLUMNS)[:4], "invoices_custid", "item", "x", "xsi:x", "q:invoices_id"])


def column(name: str, kind: str, text: str) -> str:
    return f"<{name}{kind}>{text}</{name}>"


COLUMN = st.builds(column, NAMES, KINDS, COLUMN_TEXTS | MARKED | TEXTS) | st.sampled_from(
    ["<invoices_id/>", '<invoices_id xsi:nil="true"/>', " ", "text", "<invoices_id>1</x>"]
)
ODD_ROW = st.builds(
    lambda name, kind, columns: f"<{name}{kind}>{''.join(columns)}</{name}>",
    st.sampled_from(["item", "item", "row", "invoices_id"]),
    KINDS,
    st.lists(COLUMN, max_size=4),
)
USUAL = [row(id=5), row(id=6, paid=1), row(id=7, due_date=None), row(id=8, description="a & b")]
BETWEEN = st.sampled_from(
    [
        *("", "", "", "\n", " <!-- --> ", "<?x?>", "<![CDATA[", "]]>", "<![CDATA[]]>", "<!--", "-->"),
        *("<item>", "</item>", "</return><return>", '<item href="#r5"/>', "text", '<a b="', '"/>'),
    ]
)
PARTS = st.lists(st.one_of(st.sampled_from(USUAL), st.sampled_from(USUAL), ODD_ROW, BETWEEN), max_size=9)
DECLARED = st.sampled_from(["ISO-8859-1", "ISO-8859-1", "UTF-8", "us-ascii", "cp864", "windows-1252", "x"])


def built(parts: list[str], encoding: str, counted: bool) -> bytes:
    value = "".join(parts)
    number = value.count("<item ")
    kind = f'SOAP-ENC:arrayType="tns:sql_row_invoices[{number}]"' if counted else 'xsi:type="SOAP-ENC:Array"'
    response = f'<ns1:{ALL}Response xmlns:ns1="urn:myapi"><return {kind}>{value}</return></ns1:{ALL}Response>'
    document = nusoap.empty().replace(b"ISO-8859-1", encoding.encode())
    return document.replace(b"</SOAP-ENV:Body>", response.encode("utf-8") + b"</SOAP-ENV:Body>")


LISTS = st.builds(built, PARTS, DECLARED, st.booleans())
PIECES = st.integers(1, 700) | st.just(65536)


class TestAnyList:
    @settings(max_examples=300)
    @given(LISTS, PIECES)
    @example(built([USUAL[0]] * 3 + ["<![CDATA["] + [USUAL[0]] + ["]]>"], "UTF-8", False), 65536)
    @example(built([row(id=5, description="%")] * 3, "cp864", True), 65536)
    def test_it_is_read_as_by_the_parser_alone(self, body: bytes, piece: int) -> None:
        """Rows of any shape, in any place and any order."""
        assert_alike(body, piece)

    @settings(max_examples=150)
    @given(st.data(), st.lists(st.sampled_from(USUAL), min_size=2, max_size=6), PIECES)
    def test_one_that_is_spoilt_is_read_as_by_the_parser_alone(
        self, data: st.DataObject, items: list[str], piece: int
    ) -> None:
        """Whatever is left out of it, doubled or moved."""
        assert_alike(data.draw(mutated(rows(ALL, *items))), piece)

    @pytest.mark.parametrize("what", [*BESIDE, *BODIES])
    def test_odd_and_hostile_ones_are_refused_in_the_same_words(self, what: str) -> None:
        """All that other tests refuse."""
        body = BESIDE[what].encode() if what in BESIDE else BODIES[what](ALL)
        _, end = assert_alike(body)
        assert not isinstance(end, int)

    def test_lists_of_other_servers_are_read_alike(self) -> None:
        """Also those that refer to their rows, and what does not stand in a list at all."""
        for body in (referring(), referring(columns=True), referring(array=False), rows(ALL), b"", b"<a/>"):
            for piece in (1, 100, 65536):
                assert_alike(body.replace(b"api_vps_get_client_invoices", ALL.encode()), piece)


COUNTED = ' SOAP-ENC:arrayType="tns:sql_row_invoices[10]"'
LIST = rows(ALL, *[row(id=number) for number in range(5, 15)]).decode().replace(COUNTED, "")
LAST = row(id=14)
LIKE_IT = LAST + row(id=15) + row(id=16)


def changed(old: str, new: str) -> bytes:
    assert LIST.count(old) == 1
    return LIST.replace(old, new).encode("latin-1")


NOT_ROWS = {
    "in a CDATA section": changed(LAST, f"<![CDATA[{LIKE_IT}]]>"),
    "in a CDATA section of several pieces": changed(LAST, f"<![CDATA[{LIKE_IT * 99}]]>"),
    "in a comment": changed(LAST, f"<!--{LIKE_IT}-->"),
    "in an instruction": changed(LAST, f"<?x {LIKE_IT}?>"),
    "in an attribute": changed(LAST, f"<x a='{LIKE_IT}'/>"),
    "in another row": changed(LAST, f"<item><invoices_id>1</invoices_id><x>{LIKE_IT}</x></item>"),
    "in a column": changed(LAST, f"<item><invoices_id>{LIKE_IT}</invoices_id></item>"),
    "after the list": changed("</return>", f"</return>{LIKE_IT}"),
    "after the answer": changed("</SOAP-ENV:Body>", f"{LIKE_IT}</SOAP-ENV:Body>"),
    "after the body": changed("</SOAP-ENV:Body>", f"</SOAP-ENV:Body>{LIKE_IT}"),
    "after the envelope": (LIST + LIKE_IT).encode(),
    "in a second list": changed("</return>", f"</return><return>{LIKE_IT}</return>"),
}


class TestPlaces:
    @pytest.mark.parametrize("piece", [64, 1000, 65536])
    @pytest.mark.parametrize("where", NOT_ROWS)
    def test_what_looks_like_a_row_elsewhere_is_none(self, where: str, piece: int) -> None:
        """Only what stands in the list itself, between two rows."""
        told, end = assert_alike(NOT_ROWS[where], piece)
        assert not isinstance(end, int) or "15" not in [one["invoices_id"] for one in told]

    def test_a_prefix_is_known_only_where_it_was_declared(self) -> None:
        """The same tags in another row are refused, where the first brought its own declaration."""
        first = LAST.replace("<item ", '<item xmlns:q="urn:q" ').replace("xsi:type", "q:type")
        for second in (first, first.replace(' xmlns:q="urn:q"', "")):
            assert_alike(changed(LAST, first + second))

    @pytest.mark.parametrize("encoding", ["x-yen", "cp864", "cp037", "utf-16", "utf-16-le", "mac-roman"])
    def test_letters_are_those_of_the_encoding(self, encoding: str) -> None:
        """Where a backslash is a yen sign, it is one in every row."""
        codecs.register(_yen)
        document = changed(LAST, LAST.replace("KVM", "\\5 KVM")).decode().replace("ISO-8859-1", encoding)
        for body in (document.encode(), document.encode(encoding, "ignore")):
            told, end = assert_alike(body)
            assert encoding != "x-yen" or (end, told[9]["invoices_description"]) == (10, "¥5 KVM Linux VPS")
        codecs.unregister(_yen)


def _yen(encoding: str) -> codecs.CodecInfo | None:
    """Finds an encoding that is ASCII but for one letter; Python has none of this kind."""

    def decode(data: Buffer, errors: str = "strict") -> tuple[str, int]:
        return bytes(data).decode("latin-1").replace("\\", "¥"), len(bytes(data))

    ascii = codecs.lookup("ascii")
    return codecs.CodecInfo(ascii.encode, decode, name=encoding) if encoding.startswith("x") else None


class TestShapes:
    def test_a_row_says_each_column_once(self) -> None:
        """One that says the same twice is good; one like it that says two things is not."""
        twice = column("invoices_id", "", "5") * 2
        once = twice.replace("5", "6", 1)
        told, end = assert_alike(built([f"<item>{twice}</item>"] * 3, "UTF-8", False))
        assert (len(told), end) == (3, 3)
        _, end = assert_alike(built([f"<item>{twice}</item>"] * 3 + [f"<item>{once}</item>"], "UTF-8", False))
        assert end == (MarkupRefused, "a row of the answer has two values for one column", None)

    def test_a_column_that_refers_has_no_text_beside_it(self) -> None:
        """Also one that nobody wants, and that had none in the first row."""
        parts = [
            f'<item>{column("invoices_id", "", "5")}<x href="#a">{text}</x></item>' for text in ("", "", "5")
        ]
        answer = f'<ns1:{ALL}Response xmlns:ns1="urn:myapi"><return>@</return></ns1:{ALL}Response>'
        answer += '<multiRef id="a"/>'
        for number in (2, 3):
            _, end = assert_alike(envelope(answer.replace("@", "".join(parts[:number]))))
            assert isinstance(end, int) is (number == 2)

    def test_a_nil_column_is_none_whatever_stands_in_it(self) -> None:
        """In every row."""
        nil = column("invoices_amount", ' xsi:nil="true"', "") + column("invoices_id", "", "5")
        told, _ = assert_alike(
            built(
                [f"<item>{nil}</item>"] * 2 + [f"<item>{nil.replace('><', '>7<', 1)}</item>"], "UTF-8", False
            )
        )
        assert [one["invoices_amount"] for one in told] == [None] * 3

    def test_no_more_shapes_are_kept_than_a_list_may_have(self) -> None:
        """The rest of them is for the parser."""
        odd = [f"<item><invoices_id>5</invoices_id><x{n}>1</x{n}></item>" for n in range(40)]
        assert assert_alike(built(odd * 2, "UTF-8", False))[1] == 80


class TestCost:
    def test_the_parser_sees_one_row_of_each_shape(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of a usual list; that is what it is for."""
        fed = 0
        feed = Reader.feed

        def counted(self: Reader, data: bytes) -> None:
            nonlocal fed
            fed += len(data)
            feed(self, data)

        monkeypatch.setattr(markup.Reader, "feed", counted)
        paid = [row(id=number, type=10, description=f"Payment {number}") for number in range(300)]
        body = rows(ALL, *[row(id=number) for number in range(300)], *paid)
        told = Told()
        assert read_list(ALL, cut(body, 65536), 200, told) == 600
        # And, at the end of each piece, nothing: a row that is cut waits for its other half.
        assert fed < 4_000

    def test_what_is_kept_for_the_next_piece_is_bounded(self) -> None:
        """A row without end is the parser's, which refuses a tag that is too long."""
        parser = Reader(_ListAnswer(f"{ALL}Response", Told()), namespaces=True)
        reader = plain_rows.PlainRows(parser, _ListAnswer("", Told()), COLUMNS)
        for piece in cut(
            LIST.partition("</return>")[0].encode() + b"<item><invoices_id>" + b"5" * 10**6, 1000
        ):
            reader.feed(piece)
            assert len(reader._rest) <= plain_rows.MAX_ROW_BYTES

    @pytest.mark.parametrize(
        "begin", ["<a>", "<a><b>", "<a>x", "<a><b>x</b>", "<a b:type=", '<a b:type="c">', "<"]
    )
    def test_no_answer_makes_it_slow(self, begin: str) -> None:
        """Two MB of what begins like a row, and is none, take no longer than the parser would."""
        reader = plain_rows.PlainRows(Reader(_Nothing(), namespaces=False), _ListAnswer("", Told()), COLUMNS)
        reader._parser.feed = lambda data: None  # type: ignore[method-assign]
        started = time.thread_time()
        for piece in cut(begin.encode() * (2_000_000 // len(begin)), 65536):
            reader.feed(piece)
        assert time.thread_time() - started < 5.0


class _Nothing:
    def start(self, name: str, attributes: object) -> None: ...
    def end(self) -> None: ...
    def text(self, data: str) -> None: ...


def test_a_long_text_is_cut_at_the_same_character_in_whatever_pieces_it_comes() -> None:
    """Also beside a CDATA section."""
    body = rows(ALL, row(description="x" * 9000)).replace(b"xxxx", b"x<![CDATA[xx]]>x", 1)
    for piece in (1, 100, 3000, 65536):
        told, _ = assert_alike(body, piece)
        assert told[0]["invoices_description"] == "x" * list_answer.MAX_COLUMN_CHARS
