"""Reads a list of invoices from the wire, row by row, in the same small memory however long it is.

A customer of ten years has a hundred thousand rows, some hundred MB, which zeep would make objects of all at
once. Here each row is handed on when it ends, and forgotten. Only what is referred to (`href` to a
`multiRef`, which NuSOAP never writes and other servers do) is kept to the end, and there is a cap on that.

A list is read whole or not at all: one that breaks off, or that has not as many rows as it says, raises; so
does one beside which something else is said, which may be that rows are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from zeep.exceptions import Fault

from bot.billing.markup import BODY, ENVELOPE, FAULT, HEADER, MarkupRefused, Reader
from bot.billing.plain_rows import PlainRows

Row = Mapping[str, str | None]
"""The texts of a row's columns, as far as they are wanted; None where the API says that there is none."""

COLUMNS = frozenset(
    "invoices_" + name
    for name in (
        *("id", "description", "amount", "type", "extra"),
        *("paid", "module", "due_date", "deleted", "currency"),
    )
)

MAX_COLUMN_CHARS = 4_000
"""Characters of one column that are read. What is longer is cut; no number is."""

MAX_KEPT = 100_000
"""Columns and references that are kept to the end, of a list that refers to its rows."""

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ARRAY_TYPE = "http://schemas.xmlsoap.org/soap/encoding/ arrayType"
_COUNTED = re.compile(r"\[([0-9]{1,9})\]$", re.ASCII)

# The body is in the envelope, the answer in the body, the list in the answer, the rows in the list.
_BODY_DEPTH, _ANSWER_DEPTH, _LIST_DEPTH, _ROW_DEPTH = 1, 2, 3, 4


class Rows(Protocol):
    """Takes the rows of a list."""

    def add(self, row: Row) -> None:
        """One row, in the list's order."""


def read_list(operation: str, pieces: Iterable[bytes], status: int, rows: Rows) -> int | None:
    """Hand every row of an answer to `rows`, and return their number; None where it holds no list.

    operation: the one that was called; no other's answer is read. status: the answer's HTTP status.
    Raises `MarkupRefused`, and zeep's `Fault` where zeep would. What was handed over before it raised,
    or returned None, counts for nothing.
    """
    answer = _ListAnswer(f"{operation}Response", rows)
    reader = PlainRows(Reader(answer, namespaces=True), answer, COLUMNS)
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    if answer.fault is not None or status != 200:
        code = answer.fault.fields.get("faultcode") if answer.fault is not None else None
        raise Fault("the API answered with a fault", code=code)  # type: ignore[no-untyped-call]
    return answer.finish()


class _Reference(str):
    """The id that a column refers to, in place of its text."""

    __slots__ = ()


class _Element:
    """An open element, or one that is kept. There are millions in a long list: nothing is made before it is
    needed.

    kids: elements in it. rows: those that are rows, handed on or kept. strange: those that are neither rows
    nor columns. items: rows that had to be kept, or what refers to them. has_text: whether it holds
    text, as no list and no row does.
    """

    text = ""
    has_text = False
    kids = 0
    rows = 0
    strange = 0
    fields: Row = MappingProxyType({})
    items: Sequence[_Element] = ()

    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.attributes = attributes

    def add_column(self, column: _Element) -> None:
        value = None if column.kids else column.value()
        if column.name in self.fields and self.fields[column.name] != value:
            raise MarkupRefused("a row of the answer has two values for one column")
        if not self.fields:
            self.fields = {}
        assert isinstance(self.fields, dict), "bug: only the empty mapping is shared"
        self.fields[column.name] = value

    def add_item(self, item: _Element) -> None:
        self.items = self.items or []
        assert isinstance(self.items, list), "bug: only the empty sequence is shared"
        self.items.append(item)

    @property
    def refers(self) -> bool:
        """Whether it, or a column of it, stands elsewhere."""
        return self.reference is not None or any(isinstance(one, _Reference) for one in self.fields.values())

    @property
    def reference(self) -> str | None:
        href = self.attributes.get("href", "")
        return href[1:] if href.startswith("#") else None

    def value(self) -> str | None:
        """The text of a column."""
        if (reference := self.reference) is not None:
            return _Reference(reference)
        if self.attributes.get(f"{_XSI} nil") in ("true", "1"):
            return None
        return self.text


class _ListAnswer:
    """The state of the parser; a `Handler`."""

    def __init__(self, expected: str, rows: Rows) -> None:
        self.fault: _Element | None = None
        self._expected = expected
        self._rows = rows
        self._bodies = 0
        self._open: list[_Element] = []
        self._response: _Element | None = None
        self._returned: _Element | None = None
        self._by_id: dict[str, _Element] = {}
        self._kept = 0
        self._last: Row = {}

    @property
    def between_rows(self) -> bool:
        """Whether the list has begun and goes on, and no row of it is open."""
        return bool(self._open) and self._open[-1] is self._returned

    @property
    def told(self) -> tuple[int, Row]:
        """How many rows the list has, and the one that was told last."""
        return (0 if self._returned is None else self._returned.rows), self._last

    def tell(self, row: Row) -> None:
        """One more row, which did not come by way of the parser."""
        assert self._returned is not None, "bug: there is no list yet"
        self._returned.kids += 1
        self._returned.rows += 1
        self._rows.add(row)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        depth = len(self._open)
        element = _Element(name.rpartition(" ")[2], attributes)
        if depth < _ANSWER_DEPTH:
            if name not in ((ENVELOPE,) if depth < _BODY_DEPTH else (HEADER, BODY)):
                raise MarkupRefused("the answer is no SOAP envelope")
            self._bodies += depth == _BODY_DEPTH and element.name == "Body"
            if self._bodies > 1:
                raise MarkupRefused("the answer has two bodies")
        elif self._open[_BODY_DEPTH].name == "Body":
            if depth == _ANSWER_DEPTH:
                self._begin_answer(name, element)
            elif depth == _LIST_DEPTH and self._returned is None and self._open[-1] is self._response:
                self._returned = element
        self._open.append(element)

    def text(self, data: str) -> None:
        element = self._open[-1]
        if len(element.text) < MAX_COLUMN_CHARS:
            # To the character, so that the pieces it comes in make no difference.
            element.text = (element.text + data)[:MAX_COLUMN_CHARS]
        # A column has no more than its text. Of what holds others, any text counts, however far behind.
        if len(self._open) - 1 <= _ROW_DEPTH and not element.has_text:
            element.has_text = bool(data.strip())

    def end(self) -> None:
        element = self._open.pop()
        if not self._open:
            if element.has_text:
                raise MarkupRefused("the answer says something beside its rows")
            return
        parent = self._open[-1]
        parent.kids += 1
        depth = len(self._open)
        if "href" in element.attributes:
            _require_bare(element)
        if element.has_text and element.kids and not self._is_aside():
            raise MarkupRefused("the answer says something beside its rows")
        if depth == _ANSWER_DEPTH and "id" in element.attributes:
            self._keep_by_id(element)
        elif element.name in COLUMNS or (parent is self.fault and element.name == "faultcode"):
            parent.add_column(element)
        elif depth == _ROW_DEPTH and parent is self._returned:
            self._add_row(parent, element, at_once=not element.refers)
        elif depth == _LIST_DEPTH and "id" in parent.attributes:
            self._add_row(parent, element, at_once=False)
        else:
            parent.strange += 1

    def _begin_answer(self, name: str, element: _Element) -> None:
        """The first in the body is the answer; what follows can only be what it refers to."""
        if self._response is None and self.fault is None:
            if name == FAULT:
                self.fault = element
            else:
                self._response = element
        elif element.name != "multiRef" or "id" not in element.attributes:
            raise MarkupRefused("the answer has more than one response")

    def _is_aside(self) -> bool:
        """Whether what ends now is in a header, or in a fault: what they say is not read."""
        header = len(self._open) > _BODY_DEPTH and self._open[_BODY_DEPTH].name != "Body"
        return header or (len(self._open) > _ANSWER_DEPTH and self._open[_ANSWER_DEPTH] is self.fault)

    def _add_row(self, parent: _Element, row: _Element, *, at_once: bool) -> None:
        if row.reference is None and not row.fields:
            parent.strange += 1
            return
        parent.rows += 1
        if at_once:
            self._last = row.fields
            self._rows.add(row.fields)
        else:
            self._keep(1 + len(row.fields))
            parent.add_item(row)

    def _keep_by_id(self, element: _Element) -> None:
        self._keep(1 + len(element.fields))
        if element.attributes["id"] in self._by_id:
            raise MarkupRefused("the answer gives one id twice")
        self._by_id[element.attributes["id"]] = element

    def _keep(self, number: int = 1) -> None:
        self._kept += number
        if self._kept > MAX_KEPT:
            raise MarkupRefused("the answer refers to more than can be kept")

    def finish(self) -> int | None:
        """Hand on the rows that were kept, and count all; None where there is no list."""
        if self._response is None:
            raise MarkupRefused("the answer is empty")
        if self._response.name != self._expected:
            return None
        returned = self._returned if self._response.kids == 1 else None
        if returned is not None and returned.reference is not None:
            returned = self._by_id.get(returned.reference)
        if returned is None or not _is_list(returned):
            return None
        counted = _COUNTED.search(returned.attributes.get(_ARRAY_TYPE, ""))
        if counted is not None and int(counted[1]) != returned.rows:
            raise MarkupRefused("the list has not as many rows as it says")
        for row in self._kept_rows(returned):
            self._rows.add(row)
        return returned.rows

    def _kept_rows(self, returned: _Element) -> Iterator[Row]:
        for item in returned.items:
            row = item if item.reference is None else self._referred(item.reference)
            if not row.fields:
                raise MarkupRefused("the list refers to what is no row")
            yield {
                name: self._referred(value).value() if isinstance(value, _Reference) else value
                for name, value in row.fields.items()
            }

    def _referred(self, identity: str) -> _Element:
        """What an id stands for: itself no reference, so that nothing can go round in circles."""
        element = self._by_id.get(identity)
        if element is None or element.reference is not None:
            raise MarkupRefused("the answer refers to what is not in it")
        return element


def _require_bare(element: _Element) -> None:
    """What refers to another element holds nothing itself, and the other is in the answer."""
    if element.reference is None or element.kids or element.has_text or element.text.strip():
        raise MarkupRefused("the answer refers to what is not in it, or has a value beside that")


def _is_list(returned: _Element) -> bool:
    """Whether it is a list of rows. An empty text or struct is no empty list: it may be an error."""
    if returned.strange or returned.fields or returned.attributes.get(f"{_XSI} nil") in ("true", "1"):
        return False
    if returned.rows:
        return True
    kind = returned.attributes.get(f"{_XSI} type", "").rpartition(":")[2].lower()
    untyped = not kind and returned.name == "return"
    named = _ARRAY_TYPE in returned.attributes or kind == "array" or kind.startswith("array_")
    return (named or untyped) and not returned.has_text
