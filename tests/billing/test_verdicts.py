"""The table of exceptions: complete, cautious, and by class."""

from __future__ import annotations

import inspect
import socket
from types import ModuleType

import lxml.etree
import pytest
import requests.exceptions
import urllib3.exceptions
import zeep.exceptions
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from bot.billing import markup, transport, wire
from bot.billing.verdicts import TABLE, failure_of
from bot.domain.payment import Verdict

CAN_BE_NOT_SENT = {
    "bot.billing.transport.AddressRefused",
    "bot.billing.transport.TooLate",
    "bot.billing.wire.BundleUnusable",
    "bot.billing.wire.NotAllowed",
    "requests.exceptions.ConnectTimeout",
    "requests.exceptions.InvalidProxyURL",
    "requests.exceptions.InvalidSchema",
    "requests.exceptions.InvalidURL",
    "requests.exceptions.MissingSchema",
    "requests.exceptions.ProxyError",
    "requests.exceptions.SSLError",
    "urllib3.exceptions.ClosedPoolError",
    "urllib3.exceptions.ConnectTimeoutError",
    "urllib3.exceptions.EmptyPoolError",
    "urllib3.exceptions.NameResolutionError",
    "urllib3.exceptions.NewConnectionError",
    "urllib3.exceptions.ProxyError",
    "urllib3.exceptions.SSLError",
}
"""Written out a second time on purpose: a change of the table has to be made twice."""


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    found = (kind for _name, kind in inspect.getmembers(module, inspect.isclass))
    return [kind for kind in found if issubclass(kind, BaseException)]


LIBRARY_EXCEPTIONS = {
    f"{kind.__module__}.{kind.__name__}": kind
    for module in (
        zeep.exceptions,
        requests.exceptions,
        urllib3.exceptions,
        lxml.etree,
        transport,
        markup,
        wire,
    )
    for kind in exceptions_of(module)
}


def made(kind: type[BaseException]) -> BaseException:
    """An instance, whatever its class wants of a caller."""
    if issubclass(kind, SyntaxError):
        return SyntaxError.__new__(kind)
    return kind.__new__(kind)


@pytest.mark.parametrize("name", LIBRARY_EXCEPTIONS)
def test_every_exception_of_the_libraries_is_mapped(name: str) -> None:
    """Each class leads to UNKNOWN, or to NOT_SENT if it is on the list; never to PAID or DECLINED."""
    unsent = failure_of(made(LIBRARY_EXCEPTIONS[name]), sent=False)
    allowed = Verdict.NOT_SENT if name in CAN_BE_NOT_SENT else Verdict.UNKNOWN
    assert unsent.verdict is allowed
    assert unsent.evidence.startswith(name.rsplit(".", 1)[1])


def test_nothing_is_not_sent_once_a_byte_went_out() -> None:
    """Whatever is raised after the wire let something out, the call is UNKNOWN."""
    for kind in LIBRARY_EXCEPTIONS.values():
        assert failure_of(made(kind), sent=True).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("kind", [IndexError, KeyError, TypeError, ValueError, OSError, MemoryError])
def test_what_python_itself_raises_is_unknown(kind: type[Exception]) -> None:
    """A bare exception of Python, such as zeep's IndexError for an empty body, is UNKNOWN."""
    assert failure_of(kind(), sent=False).verdict is Verdict.UNKNOWN


def test_the_table_never_says_what_only_the_api_can_say() -> None:
    """No exception means paid or declined."""
    assert {verdict for _kind, verdict, _words in TABLE} == {Verdict.NOT_SENT, Verdict.UNKNOWN}


def test_no_row_of_the_table_is_hidden_by_one_above_it() -> None:
    """The most specific class comes first."""
    kinds = [kind for kind, _verdict, _words in TABLE]
    hidden = [
        (kind, above)
        for place, kind in enumerate(kinds)
        for above in kinds[:place]
        if issubclass(kind, above)
    ]
    assert hidden == []


CONNECTION = HTTPConnection("billing.invalid")


@pytest.mark.parametrize(
    ("cause", "verdict"),
    [
        (NewConnectionError(CONNECTION, "refused"), Verdict.NOT_SENT),
        (NameResolutionError("billing.invalid", CONNECTION, socket.gaierror()), Verdict.NOT_SENT),
        (ConnectTimeoutError(CONNECTION, "slow"), Verdict.NOT_SENT),
        (ProtocolError("Connection aborted.", ConnectionResetError()), Verdict.UNKNOWN),
    ],
)
def test_a_connection_error_is_read_by_what_it_wraps(cause: Exception, verdict: Verdict) -> None:
    """requests.ConnectionError is both "no connection" and "reset"; the class inside decides."""
    inside = MaxRetryError(None, "/", cause)  # type: ignore[arg-type]
    wrapped = requests.exceptions.ConnectionError(inside)
    assert failure_of(wrapped, sent=False).verdict is verdict
    direct = requests.exceptions.ConnectionError(cause)
    assert failure_of(direct, sent=False).verdict is verdict


def test_text_that_looks_like_no_connection_proves_nothing() -> None:
    """A message is never read: the words of a refused connection in another class stay UNKNOWN."""
    error = requests.exceptions.ConnectionError("Failed to establish a new connection: refused")
    assert failure_of(error, sent=False).verdict is Verdict.UNKNOWN
    timeout = ReadTimeoutError(None, "/", "connect timeout")  # type: ignore[arg-type]
    assert failure_of(timeout, sent=False).verdict is Verdict.UNKNOWN


def test_evidence_holds_no_word_of_the_server() -> None:
    """The text of a library's exception, which can hold a body, stays out of the evidence."""
    body = "<sid>0123456789abcdef</sid>"
    error = zeep.exceptions.TransportError(body)  # type: ignore[no-untyped-call]
    assert failure_of(error, sent=True).evidence == ("TransportError: the answer is not XML that can be read")


@pytest.mark.parametrize(
    ("kind", "answered"),
    [
        (transport.UnexpectedStatus, True),
        (transport.AnswerTooLarge, True),
        (transport.AnswerCoded, True),
        (markup.MarkupRefused, True),
        (requests.exceptions.ContentDecodingError, True),
        (urllib3.exceptions.DecodeError, True),
        (zeep.exceptions.Fault, True),
        (zeep.exceptions.TransportError, True),
        (IndexError, True),
        (transport.TooLate, False),
        (wire.NotAllowed, False),
        (requests.exceptions.ReadTimeout, False),
        (requests.exceptions.ChunkedEncodingError, False),
        (ProtocolError, False),
        (TimeoutError, False),
        (OSError, False),
    ],
)
def test_what_could_not_be_read_was_there(kind: type[BaseException], answered: bool) -> None:
    """An answer came, or none did; and before a byte went out there was none to come."""
    assert failure_of(made(kind), sent=True).answered is answered
    assert not failure_of(made(kind), sent=False).answered


def test_only_a_fault_of_the_api_is_a_fault() -> None:
    """zeep's stand-in for any HTTP 500 has no code, and does not count as the API's own word."""
    own = zeep.exceptions.Fault("no", code="SOAP-ENV:Server")  # type: ignore[no-untyped-call]
    stand_in = zeep.exceptions.Fault("Unknown fault occured")  # type: ignore[no-untyped-call]
    assert failure_of(own, sent=True).fault
    assert not failure_of(stand_in, sent=True).fault
