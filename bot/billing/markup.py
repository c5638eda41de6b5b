"""XML from outside, read under limits, so that no answer costs more memory than a good one.

Two readers stand on it. `vet` reads what zeep is to read, before zeep does: its parser keeps every name that
it has seen for as long as the thread lives, and it expands references (`href` to a `multiRef`) without end.
`bot.billing.list_answer` reads the lists of invoices itself, a piece at a time.

expat does the work: it forgets everything with the document, and takes no part of it from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, Protocol
from xml.parsers import expat

ENVELOPE, HEADER, BODY, FAULT = (
    f"http://schemas.xmlsoap.org/soap/envelope/ {name}" for name in ("Envelope", "Header", "Body", "Fault")
)
"""Elements of SOAP 1.1, by the names that a `Reader` with namespaces gives them."""

MAX_DEPTH = 64
"""Elements inside one another; an answer of NuSOAP has seven."""

MAX_TOKEN_BYTES = 64 * 1024
"""Bytes of one tag or comment, its attributes included."""

MAX_NAMES = 2_000
"""Names of elements, attributes and namespaces, each counted once."""

MAX_NAME_CHARS = 256
"""Characters of a name."""

MAX_NAMESPACES = 60
"""Namespaces declared around any one place. zeep copies them all for every element it expands."""

MAX_ELEMENTS = 5_000
"""Elements of an answer that zeep reads; a payment's has six."""

MAX_REFERRED = 4 * 1024 * 1024
"""What may stand where references stood, all of them followed: characters, and `_ELEMENT` an element."""

_ELEMENT = 800

_CHUNK = 64 * 1024

_COMMON_ENCODINGS = ("utf-8", "iso-8859-1", "us-ascii")


class MarkupRefused(Exception):
    """What came is no XML, or none that a billing API would send. The text is our own."""


class Handler(Protocol):
    """Receives the events of a SAX parser, in the document's order."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""

    def end(self) -> None:
        """The element that began last, and has not ended, ends."""

    def text(self, data: str) -> None:
        """A piece of the text in it."""


class Reader:
    """Reads one document, a piece at a time. Raises `MarkupRefused`.

    namespaces: names come as `namespace name`, in place of as they are written.
    instructions: whether there may be processing instructions, which nobody is told of. SOAP forbids them.
    """

    def __init__(self, handler: Handler, *, namespaces: bool, instructions: bool = True) -> None:
        self._handler = handler
        self._depth = 0
        self._fed = 0
        self._odd = False
        self.names: dict[str, str] = {}
        """Every name so far."""
        self._parser = expat.ParserCreate(namespace_separator=" " if namespaces else None, intern=self.names)
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_dtd
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = handler.text
        self._parser.StartCdataSectionHandler = self._turn_odd
        self._parser.XmlDeclHandler = self._declared
        if not instructions:
            self._parser.ProcessingInstructionHandler = _refuse_instruction

    def feed(self, data: bytes) -> None:
        """Read what comes next."""
        for start in range(0, len(data), _CHUNK):
            piece = data[start : start + _CHUNK]
            self._parse(piece, final=False)
            self._fed += len(piece)
            # What expat could not tell us yet, it holds; and it reads it anew with every piece.
            if self._fed - self._parser.CurrentByteIndex > MAX_TOKEN_BYTES:
                raise MarkupRefused("the answer has a tag that is too long")
            if len(self.names) > MAX_NAMES:
                raise MarkupRefused("the answer has too many names")

    def close(self) -> None:
        """The document must be whole."""
        self._parse(b"", final=True)

    @property
    def is_between_tags(self) -> bool:
        """Whether it stands between two tags, and what is ASCII would be read as ASCII.

        Not so for good where there was a CDATA section, or an encoding that is none of the common ones.
        """
        return not self._odd and self._parser.CurrentByteIndex == self._fed

    def _turn_odd(self) -> None:
        self._odd = True

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._odd |= encoding is not None and encoding.lower() not in _COMMON_ENCODINGS

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except (expat.ExpatError, ValueError, LookupError):
            # The last two are those of a document that names an encoding which cannot be read, or is unknown.
            raise MarkupRefused("the answer is not XML that can be read") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise MarkupRefused("the answer is nested too deeply")
        self._handler.start(name, attributes)

    def _end(self, _name: str) -> None:
        self._depth -= 1
        self._handler.end()


def _refuse_dtd(*_declaration: object) -> NoReturn:
    raise MarkupRefused("the answer has a DTD")


def _refuse_instruction(*_instruction: object) -> NoReturn:
    raise MarkupRefused("the answer has a processing instruction")


_PART_LEVEL = 4
"""How deep a part begins, the document itself counted: in the body, in the envelope."""

_let_through: set[str] = set()


def vet(document: bytes, *, max_elements: int = MAX_ELEMENTS) -> None:
    """Raise `MarkupRefused` unless the document is one that zeep may read.

    Of new names, no more than `MAX_NAMES` are let through for as long as the process lives: the parser
    behind zeep never forgets one.
    """
    anatomy = _Anatomy(max_elements)
    reader = Reader(anatomy, namespaces=False)
    reader.feed(document)
    reader.close()
    if anatomy.referred() > MAX_REFERRED:
        raise MarkupRefused("the answer's references expand to too much")
    names = anatomy.namespaces.union(reader.names)
    if any(len(name) > MAX_NAME_CHARS for name in names):
        raise MarkupRefused("the answer has a name that is too long")
    if len(_let_through | names) > MAX_NAMES:
        raise MarkupRefused("the answers had too many names")
    _let_through.update(names)


class _Part:
    """What stands in the envelope's body, or its header, as one piece, and can be referred to by its id."""

    def __init__(self) -> None:
        self.weight = 0
        self.references: list[str] = []


class _Anatomy:
    """Counts what zeep would make of a document."""

    def __init__(self, max_elements: int) -> None:
        self.namespaces: set[str] = set()
        self._most = max_elements
        self._elements = 0
        self._declared: list[int] = [0]
        self._part = _Part()
        self._parts = [self._part]
        self._named: dict[str, _Part] = {}

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > self._most:
            raise MarkupRefused("the answer has too many elements")
        own = [value for key, value in attributes.items() if key.startswith("xmlns")]
        self.namespaces.update(own)
        self._declared.append(self._declared[-1] + len(own))
        if self._declared[-1] > MAX_NAMESPACES:
            raise MarkupRefused("the answer declares too many namespaces")
        if len(self._declared) == _PART_LEVEL:
            self._begin_part(attributes.get("id"))
        self._part.weight += _ELEMENT + sum(map(len, attributes.values()))
        if (href := attributes.get("href", "")).startswith("#"):
            self._part.references.append(href[1:])

    def end(self) -> None:
        self._declared.pop()

    def text(self, data: str) -> None:
        self._part.weight += len(data)

    def referred(self) -> int:
        """What there is more of when every reference is replaced by what it refers to."""
        sizes: dict[str, int] = {}
        return sum(self._size(part, sizes, frozenset()) - part.weight for part in self._parts)

    def _begin_part(self, identity: str | None) -> None:
        self._part = _Part()
        self._parts.append(self._part)
        if identity is not None:
            if identity in self._named:
                raise MarkupRefused("the answer gives one id twice")
            self._named[identity] = self._part

    def _size(self, part: _Part, sizes: dict[str, int], above: frozenset[str]) -> int:
        total = part.weight
        for identity in part.references:
            if identity in above or len(above) >= MAX_DEPTH:
                raise MarkupRefused("the answer's references go round in circles")
            if identity not in sizes and identity in self._named:
                sizes[identity] = self._size(self._named[identity], sizes, above | {identity})
            total += sizes.get(identity, 0)
        return total
