"""Whether the answer of a payment says one thing only, looked at before zeep reads it.

zeep takes of two what comes last, or first, and passes over what it does not expect: of an answer that
contradicts itself it makes a clear `ok`, or a clear `error`, and an `error` may be paid again. Only an answer
that nobody could read in another way is let through; of any other, the payment is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.billing.markup import BODY, ENVELOPE, FAULT, HEADER, MarkupRefused, Reader

RESPONSE = "api_make_paymentResponse"
"""In whatever namespace: servers differ in it."""

_FIELDS = ("status", "status_text")


def require_one_meaning(document: bytes) -> None:
    """Raise `MarkupRefused` unless the document is a fault, or one answer of a payment.

    It was vetted before: that bounds what is held of it here, and its references go round in no circle.
    """
    tree = _Tree()
    reader = Reader(tree, namespaces=True, instructions=False)
    reader.feed(document)
    reader.close()
    body = _body(tree.root)
    for element in body.all():
        _require_plain(element)
    first, *others = body.kids or [_Element("", {})]
    referred = _referred(tree, others)
    if first.name == FAULT and not others:
        return
    if first.local != RESPONSE:
        raise MarkupRefused("the answer is not that of a payment")
    if len(first.kids) != 1:
        raise MarkupRefused("the answer has not one return value")
    _require_fields(_target(first.kids[0], referred), referred)


class _Element:
    def __init__(self, name: str, attributes: Mapping[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.kids: list[_Element] = []
        self.has_text = False

    @property
    def local(self) -> str:
        return self.name.rpartition(" ")[2]

    @property
    def href(self) -> str | None:
        return self.attributes.get("href")

    @property
    def nil(self) -> bool:
        """Whether it says that it has no value, in any of the words for it."""
        said = [v for k, v in self.attributes.items() if k.rpartition(" ")[2] in ("nil", "null")]
        return any(value.strip() not in ("false", "0") for value in said)

    def all(self) -> Iterator[_Element]:
        """It, and what is in it."""
        yield self
        for kid in self.kids:
            yield from kid.all()


class _Tree:
    """The elements of a document, and whether there is text in each; a `Handler`."""

    def __init__(self) -> None:
        self.root = _Element("", {})
        """The document itself; the envelope is in it."""
        self.ids: set[str] = set()
        self._open = [self.root]

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        element = _Element(name, attributes)
        self._open[-1].kids.append(element)
        self._open.append(element)
        if (identity := attributes.get("id")) is not None:
            if identity in self.ids:
                raise MarkupRefused("the answer gives one id twice")
            self.ids.add(identity)

    def end(self) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].has_text |= bool(data.strip(" \t\r\n"))


def _body(document: _Element) -> _Element:
    [envelope] = document.kids
    names = [kid.name for kid in envelope.kids]
    expected = [HEADER, BODY]
    if envelope.name != ENVELOPE or envelope.has_text or names not in (expected, expected[1:]):
        raise MarkupRefused("the answer is no SOAP envelope with one body")
    return envelope.kids[-1]


def _require_plain(element: _Element) -> None:
    """It holds elements, or text, or a reference, or says that it has no value; never two of these."""
    content = bool(element.kids) + element.has_text
    if content > 1:
        raise MarkupRefused("the answer has text beside its elements")
    if content and (element.nil or element.href is not None):
        raise MarkupRefused("the answer has a value where it says that there is none")


def _referred(tree: _Tree, parts: list[_Element]) -> dict[str, _Element]:
    """What can be referred to, by its id. All that follows a response is such a part."""
    referred: dict[str, _Element] = {}
    for part in parts:
        identity = part.attributes.get("id")
        # zeep follows a reference once: from one to another it would lose the way.
        if part.local != "multiRef" or identity is None or part.href is not None:
            raise MarkupRefused("the answer has more than one response")
        referred[identity] = part
    for element in tree.root.all():
        if element.href is not None:
            _target(element, referred)
    return referred


def _target(element: _Element, referred: Mapping[str, _Element]) -> _Element:
    """What it refers to; itself where it does not."""
    if element.href is None:
        return element
    target = referred.get(element.href[1:]) if element.href.startswith("#") else None
    if target is None or element.nil:
        raise MarkupRefused("the answer refers to what is not in it")
    return target


def _require_fields(returned: _Element, referred: Mapping[str, _Element]) -> None:
    if returned.has_text:
        raise MarkupRefused("the answer has a text in place of a status")
    names = [field.local for field in returned.kids]
    # One without a status is read on: it is UNKNOWN, and its text may help a person.
    if len(set(names)) != len(names) or not set(names) <= set(_FIELDS):
        raise MarkupRefused("the answer has not one status, and one text at most")
    if any(_target(field, referred).kids for field in returned.kids):
        raise MarkupRefused("the answer has elements in its status")
