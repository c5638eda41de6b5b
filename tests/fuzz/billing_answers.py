"""SOAP answers of any bytes, through all that reads them: the calls are the bot's, only the wire is not.

An answer begins with one byte that says how it comes: which operation it answers, with which HTTP status, in
pieces of which size. The rest is its body.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import time
from collections.abc import Callable
from typing import cast
from xml.etree import ElementTree

import requests
import urllib3
from lxml import etree
from pydantic import SecretStr
from zeep.proxy import ServiceProxy

from bot.billing import markup, reading, wire
from bot.billing.calls import BillingCalls, _Service
from bot.domain.payment import InvoiceRef, Outcome, Proof, Verdict
from bot.errors import BillingError
from bot.sandbox.local_billing import nusoap
from bot.singleflight import ThreadSingleflight
from tests.billing.scripted import (
    ALL,
    LOGIN,
    MODULES,
    PASSWORD,
    PAY,
    SESSION,
    UNPAID,
    envelope,
    outcome,
    row,
    rows,
)
from tests.billing.test_any_answer import service
from tests.billing.test_plain_rows import assert_alike

VPS = InvoiceRef("vps", 10101)
LOGGED_IN = nusoap.response(LOGIN, nusoap.simple(SESSION))

_PIECES = (65536, 64, 500, 17)

MARKUP = [
    *(
        "<status>",
        "</status>",
        "<return>",
        "</return>",
        "<item>",
        "</item>",
        '<multiRef id="a">',
        "</multiRef>",
    ),
    *(' href="#a"', ' id="a"', ' xsi:nil="true"', ' xmlns="urn:x"', ' xsi:type="xsd:string"', "<!--", "-->"),
    *("<![CDATA[", "]]>", "&#111;", "&amp;", "<?x?>", "ok", "error", "10101", "invoices_id", "invoices_paid"),
    *("invoices_type", "invoices_extra", "invoices_module", "SOAP-ENV:Fault", "faultcode", "SOAP-ENV:Header"),
]
"""What answers are made of."""


class _Wire:
    """In place of zeep's proxy: answers an operation, and says that the request went out."""

    def __init__(self) -> None:
        self.answers: dict[str, requests.Response] = {}

    def __getitem__(self, operation: str) -> Callable[..., requests.Response]:
        def call(*_arguments: object, **_named: object) -> requests.Response:
            wire.current_call().sent = True
            return self.answers[operation]

        return call


def _response(body: bytes, how: int = 0) -> requests.Response:
    """how: whose bits say that the status is 500, and that it is compressed."""
    response = requests.Response()
    response.status_code = 500 if how & 1 else 200
    if how & 2:
        body = gzip.compress(body, 1)
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Type"] = "text/xml; charset=ISO-8859-1"
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False, decode_content=False)
    return response


def _calls(answers: dict[str, requests.Response]) -> BillingCalls:
    """The bot's calls, whose operations are answered so."""
    loaded, answering = service(), _Wire()
    answering.answers = {LOGIN: _response(LOGGED_IN)} | answers
    calls = BillingCalls(
        wsdl_url="http://127.0.0.1/", username="somebody", password=SecretStr(PASSWORD), connections=1
    )
    proxy = cast(ServiceProxy, answering)
    offered, takes = frozenset(answering.answers), frozenset({"sid", "module", "invoice"})
    made = _Service(loaded.client, proxy, loaded.binding, offered, takes)
    calls._service = ThreadSingleflight(lambda _deadline: made)
    # What is let through is bounded for as long as a process lives.
    markup._let_through.clear()
    return calls


def payment_answer(data: bytes) -> None:
    """An outcome whatever comes, and never a clear one that the answer does not say clearly."""
    how, body = data[:1], data[1:]
    calls = _calls({PAY: _response(body, how[0] & 3 if how else 0)})
    later = time.monotonic() + 60
    told = calls.pay(VPS, ready_by=later, timeout=60, may_begin=lambda: True)
    assert isinstance(told, Outcome)
    assert told.verdict in (Verdict.PAID, Verdict.DECLINED, Verdict.UNKNOWN), "it was sent"
    assert SESSION not in repr(told)
    assert PASSWORD not in repr(told)
    if told.verdict is not Verdict.UNKNOWN:
        word = {Verdict.PAID: "ok", Verdict.DECLINED: "error"}[told.verdict]
        assert not how or not how[0] & 1 or b"Fault" not in body, "a fault is no answer"
        for read in (_read_by_libxml, _read_by_expat):
            assert _statuses(read(body)) == [word], read.__name__


_Told = list[tuple[str, str | None, str | None, str]]
"""Name, id, reference and text of each element."""


def _statuses(elements: _Told) -> list[str]:
    """What the elements that are called status say, references followed, as the bot compares it."""
    by_id = {identity: text for _, identity, _, text in elements if identity is not None}
    said = [by_id[href[1:]] if href else text for name, _, href, text in elements if name == "status"]
    return [text.strip().casefold() for text in said]


def _read_by_libxml(body: bytes) -> _Told:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    root = etree.fromstring(body, parser)
    return [
        (etree.QName(one).localname, one.get("id"), one.get("href"), "".join(map(str, one.itertext())))
        for one in root.iter()
        if isinstance(one.tag, str)
    ]


def _read_by_expat(body: bytes) -> _Told:
    root = ElementTree.fromstring(body)
    return [
        (one.tag.rpartition("}")[2], one.get("id"), one.get("href"), "".join(one.itertext()))
        for one in root.iter()
    ]


_BOTH_WAYS = [
    outcome("ok", "Payment of 10.00 USD for Invoice 10101 Successful."),
    outcome("error", "The Credit Card on file was declined."),
    outcome("pending", f"You sent {SESSION} and {PASSWORD}"),
    nusoap.fault("Session expired", "SOAP-ENV:Server"),
    nusoap.empty(),
    envelope(
        f'<ns1:{PAY}Response xmlns:ns1="urn:myapi"><return href="#a"/></ns1:{PAY}Response>'
        '<multiRef id="a"><status href="#b"/><status_text xsi:nil="true"/></multiRef>'
        '<multiRef id="b"><![CDATA[ok]]></multiRef>'
    ),
    outcome("ok", "&#111;k").replace(b">ok<", b"><!-- error -->&#x6f;k<"),
    outcome("ok", "x").replace(b"ISO-8859-1", b"UTF-8"),
    outcome("ok", "x").decode().replace("ISO-8859-1", "UTF-16").encode("utf-16"),
]

PAYMENTS = [bytes([how]) + body for how in (0, 1, 2) for body in _BOTH_WAYS]


_PAID = (Proof.PAYMENT_ROW, Proof.PAID_FLAG, Proof.ABSENCE)


def list_answer(data: bytes) -> None:
    """Read as the parser alone would read it, in whatever pieces; and what is unpaid is not proved paid."""
    how, body = (data[0] if data else 0), data[1:]
    told, end = assert_alike(body, piece := _PIECES[(how >> 2) % len(_PIECES)])
    if piece < len(body):
        assert assert_alike(body)[1] == end
    as_unpaid = body.replace(f"{ALL}Response".encode(), f"{UNPAID}Response".encode())
    later = time.monotonic() + 60
    everything = unpaid = None
    with contextlib.suppress(BillingError):
        everything = _calls({ALL: _response(body, how & 3)}).among_all(VPS, later)
    assert (everything is not None) == (isinstance(end, int) and not how & 1)
    try:
        calls = _calls({UNPAID: _response(as_unpaid, how & 3)})
        invoices = calls.unpaid_invoices("vps", later).invoices
        unpaid = _calls({UNPAID: _response(as_unpaid, how & 3)}).among_unpaid(VPS, later)
    except BillingError:
        return
    assert len({one.ref for one in invoices}) == len(invoices) <= len(told)
    for one in invoices:
        assert one.ref.module == "vps"
        assert 0 <= one.amount < reading.MAX_AMOUNT
        assert re.fullmatch("[A-Z]{3}", one.currency)
        assert SESSION not in one.description
        assert PASSWORD not in one.description
    proof = reading.evidence(unpaid, everything).proof
    if unpaid.unpaid:
        assert proof not in _PAID
    if VPS in [one.ref for one in invoices]:
        assert unpaid.unpaid or unpaid.unclear
        assert proof not in _PAID


_ROWS = [
    row(),
    row(id=10102, paid=1),
    row(id=7, due_date=None),
    row(id=8, description=f"a & b {SESSION}"),
    row(id=90001, type=10, extra=10101, paid=1),
    row(id=9, amount="1e400", currency="usd"),
    row(module=None),
]
_SHORT = [
    re.sub(r"<invoices_(custid|date|group|service|currency)\b.*?</invoices_\1>", "", one) for one in _ROWS
]
_LISTS = [
    rows(ALL, *_ROWS),
    rows(ALL, *_SHORT[:1] * 3),
    rows(ALL, *_SHORT[1:3]),
    rows(ALL, *_SHORT[4:6]),
    rows(ALL),
    nusoap.fault("Access denied", "SOAP-ENV:Server"),
    rows(ALL, *_SHORT[:2]).replace(b"<item", b"<!-- --><item", 2),
    envelope(
        f'<ns1:{ALL}Response xmlns:ns1="urn:myapi"><return><item href="#a"/></return></ns1:{ALL}Response>'
        '<multiRef id="a"><invoices_id href="#b"/><invoices_type>1</invoices_type></multiRef>'
        '<multiRef id="b">10101</multiRef>'
    ),
]

LISTS = [bytes([how]) + body for how in (0, 1, 2, 4, 8, 12) for body in _LISTS]


# Sessions, and the names of modules


def other_answer(data: bytes) -> None:
    """A session or names only where the answer holds them; otherwise an error that says nothing was sent."""
    how, body = (data[0] if data else 0), data[1:]
    later = time.monotonic() + 60
    if how & 4:
        try:
            names = _calls({MODULES: _response(body, how & 3)}).modules(later)
        except BillingError:
            return
        assert names
        assert len(set(names)) == len(names) <= reading.MAX_MODULES
        for name in names:
            InvoiceRef(name, 1)
            assert name in _texts(body)
        return
    calls = _calls({LOGIN: _response(body, how & 3), PAY: _response(outcome("ok", "x"))})
    told = calls.pay(VPS, ready_by=later, timeout=60, may_begin=lambda: True)
    if told.verdict is Verdict.NOT_SENT:
        assert not calls._sessions
        return
    assert told.verdict is Verdict.PAID
    [session] = calls._sessions
    # It may stand beside a processing instruction; what is no session of the API's is good for nothing.
    assert any(session in text for text in _texts(body))


def _texts(body: bytes) -> list[str]:
    return [text for _, _, _, text in _read_by_libxml(body)]


_SESSIONS = [
    LOGGED_IN,
    nusoap.response(LOGIN, nusoap.simple("")),
    nusoap.response(LOGIN, nusoap.simple(False)),
    nusoap.response(LOGIN, nusoap.simple("<b>Welcome</b>")),
    nusoap.fault("Internal error", "SOAP-ENV:Server"),
]
_NAMES = [
    nusoap.response(
        MODULES, nusoap.array("xsd:string", [nusoap.simple(name, "item") for name in ("vps", "mail", "x y")])
    ),
    nusoap.response(MODULES, nusoap.simple("vps")),
    nusoap.fault("Internal error", "SOAP-ENV:Server"),
]
OTHERS = [bytes([how]) + body for how in (0, 1, 2) for body in _SESSIONS] + [
    bytes([how]) + body for how in (4, 5, 6) for body in _NAMES
]
