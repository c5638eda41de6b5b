"""What an exception says about a call: one table, by class, never by text.

NOT_SENT is safe to retry, so it is given for two reasons together only: the class stands in the table
as one that is raised before anything goes out, AND the wire saw nothing go out. A TLS error, for one,
can come from the handshake or from the middle of an answer. Everything else is UNKNOWN: the payment
may have been made.
"""

from __future__ import annotations

from dataclasses import dataclass

import requests.exceptions as of_requests
import urllib3.exceptions as of_urllib3
import zeep.exceptions as of_zeep

from bot.billing.markup import MarkupRefused
from bot.billing.transport import (
    AddressRefused,
    AnswerCoded,
    AnswerTooLarge,
    TooLate,
    TransportRefusal,
    UnexpectedStatus,
)
from bot.billing.wire import BundleUnusable, NotAllowed
from bot.domain.payment import Verdict

TABLE: tuple[tuple[type[BaseException], Verdict, str], ...] = (
    # Raised by this bot.
    (AddressRefused, Verdict.NOT_SENT, "not the billing API's own address"),
    (TooLate, Verdict.NOT_SENT, "the deadline had passed"),
    (NotAllowed, Verdict.NOT_SENT, "it may not be sent any more"),
    (BundleUnusable, Verdict.NOT_SENT, "no certificates to check its own against"),
    (UnexpectedStatus, Verdict.UNKNOWN, "the HTTP status is not that of an answer"),
    (AnswerTooLarge, Verdict.UNKNOWN, "the answer is too long to be one"),
    (AnswerCoded, Verdict.UNKNOWN, "the answer's compression is broken"),
    (TransportRefusal, Verdict.UNKNOWN, "the exchange was stopped"),
    (MarkupRefused, Verdict.UNKNOWN, "the answer is not XML that can be read"),
    # Raised by requests. ConnectionError is both "no connection" and "reset": see `innermost`.
    (of_requests.ConnectTimeout, Verdict.NOT_SENT, "no connection was made in time"),
    (of_requests.SSLError, Verdict.NOT_SENT, "TLS could not be agreed or verified"),
    (of_requests.ProxyError, Verdict.NOT_SENT, "the proxy did not connect"),
    (of_requests.InvalidURL, Verdict.NOT_SENT, "the address, or the proxy's, cannot be used"),
    (of_requests.MissingSchema, Verdict.NOT_SENT, "the address, or the proxy's, cannot be used"),
    (of_requests.InvalidSchema, Verdict.NOT_SENT, "the address, or the proxy's, cannot be used"),
    (of_requests.Timeout, Verdict.UNKNOWN, "no answer in time"),
    (of_requests.ConnectionError, Verdict.UNKNOWN, "the connection broke"),
    (of_requests.ChunkedEncodingError, Verdict.UNKNOWN, "the answer broke off"),
    (of_requests.ContentDecodingError, Verdict.UNKNOWN, "the answer's compression is broken"),
    (of_requests.RequestException, Verdict.UNKNOWN, "the exchange failed"),
    # Raised by urllib3, bare or inside an exception of requests. The pool ones come before it has
    # a connection, ProxyError before the proxy has connected.
    (of_urllib3.NameResolutionError, Verdict.NOT_SENT, "the host name has no address"),
    (of_urllib3.NewConnectionError, Verdict.NOT_SENT, "no connection could be made"),
    (of_urllib3.ConnectTimeoutError, Verdict.NOT_SENT, "no connection was made in time"),
    (of_urllib3.SSLError, Verdict.NOT_SENT, "TLS could not be agreed or verified"),
    (of_urllib3.ProxyError, Verdict.NOT_SENT, "the proxy did not connect"),
    (of_urllib3.EmptyPoolError, Verdict.NOT_SENT, "no connection was free"),
    (of_urllib3.ClosedPoolError, Verdict.NOT_SENT, "the connections are closed already"),
    (of_urllib3.TimeoutError, Verdict.UNKNOWN, "no answer in time"),
    (of_urllib3.ProtocolError, Verdict.UNKNOWN, "the connection broke"),
    (of_urllib3.DecodeError, Verdict.UNKNOWN, "the answer's compression is broken"),
    (of_urllib3.HTTPError, Verdict.UNKNOWN, "the exchange failed"),
    # Raised by zeep. A Fault may be an HTTP status of 500 over a good body.
    (of_zeep.Fault, Verdict.UNKNOWN, "the API answered with a fault"),
    (of_zeep.TransportError, Verdict.UNKNOWN, "the answer is not XML that can be read"),
    (of_zeep.DTDForbidden, Verdict.UNKNOWN, "the answer has a DTD"),
    (of_zeep.EntitiesForbidden, Verdict.UNKNOWN, "the answer has entities"),
    (of_zeep.Error, Verdict.UNKNOWN, "the answer was not understood"),
    # What is left: lxml's, a bare IndexError for an empty body, and whatever nobody has seen yet.
    (TimeoutError, Verdict.UNKNOWN, "no answer in time"),
    (OSError, Verdict.UNKNOWN, "the connection broke"),
    (BaseException, Verdict.UNKNOWN, "the answer was not understood"),
)
"""Class, what it says while the wire saw nothing go out, and why. The first that fits counts."""


_NOT_READ: tuple[type[BaseException], ...] = (
    UnexpectedStatus,
    AnswerTooLarge,
    AnswerCoded,
    MarkupRefused,
    of_requests.ContentDecodingError,
    of_urllib3.DecodeError,
)
"""Of those who say that the exchange went wrong, the ones that an answer was there for."""

_NO_ANSWER = (TransportRefusal, NotAllowed, of_urllib3.HTTPError, OSError)
"""Whatever else goes wrong, an answer was there, and nobody could read it."""

_OWN = (TransportRefusal, NotAllowed, BundleUnusable, MarkupRefused)
"""Their texts are this bot's own, and say more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An exchange without an answer. Holds no exception, and so no body and no session id.

    fault: the API itself said so, in a SOAP fault. answered: an answer came, and could not be read.
    """

    verdict: Verdict
    evidence: str
    fault: bool = False
    answered: bool = False


def innermost(error: BaseException) -> BaseException:
    """The exception that tells "no connection" from "broke after sending" by its class."""
    if type(error) is of_requests.ConnectionError and error.args:
        cause = error.args[0]
        if isinstance(cause, of_urllib3.HTTPError):
            return innermost(cause)
    if isinstance(error, of_urllib3.MaxRetryError):
        reason = getattr(error, "reason", None)
        if isinstance(reason, BaseException):
            return innermost(reason)
    return error


def failure_of(error: BaseException, *, sent: bool) -> Failure:
    """Read an exception.

    sent: whether the wire let out a byte of the call (`wire.Call.sent`).
    """
    cause = innermost(error)
    verdict, words = next((verdict, words) for kind, verdict, words in TABLE if isinstance(cause, kind))
    if sent:
        verdict = Verdict.UNKNOWN
    if isinstance(cause, _OWN):
        words = str(cause) or words
    return Failure(
        verdict=verdict,
        evidence=f"{type(cause).__name__}: {words}",
        # zeep makes a Fault without a code of every HTTP 500 that is none.
        fault=isinstance(cause, of_zeep.Fault) and getattr(cause, "code", None) is not None,
        answered=sent and (isinstance(cause, _NOT_READ) or not isinstance(cause, _NO_ANSWER)),
    )
