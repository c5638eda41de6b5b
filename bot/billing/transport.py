"""zeep's way to the network, with nothing left to chance.

What it promises beyond `wire`: it talks to the origin (scheme, host and port) of the configured WSDL
and to no other, whatever a WSDL or an answer says; it follows no redirect; it takes no more bytes than
are wanted, counted after decompression, and never has more than a piece of what it decompresses; it lets
zeep read no document that could cost more than a good one; it opens no file, and answers the one schema
that every WSDL of NuSOAP refers to from the package. zeep's own `post` logs whole envelopes at DEBUG, the
password included: it is replaced here, and its logger is shut below INFO as well.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from typing import Any

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url
from zeep.transports import Transport

from bot.billing import wire
from bot.billing.markup import vet
from bot.billing.wsdl import called_only

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Bytes of an answer, or of a WSDL, that is held whole."""

MAX_LIST_BYTES = 256 * 1024 * 1024
"""Bytes of a list of invoices, which is read row by row, at about 950 bytes a row."""

MAX_WSDL_DOCUMENTS = 16
"""The WSDL and the schemas that it imports; NuSOAP's imports none from its own address."""

MAX_WSDL_ELEMENTS = 50_000
"""Elements of a WSDL; MyAdmin's has 2,000."""

CONNECT_TIMEOUT_S = 10.0
"""Seconds for one TCP connection and its TLS handshake, each, or what is left of the call if less."""

ENCODING_SCHEMA = "http://schemas.xmlsoap.org/soap/encoding/"

_PORTS = {"http": 80, "https": 443}
_PIECE = 64 * 1024


class TransportRefusal(Exception):
    """This bot stopped an exchange on purpose. The text is our own: no address, no body."""


class AddressRefused(TransportRefusal):
    """The address is not the billing API's. Nothing was sent to it."""


class TooLate(TransportRefusal):
    """The deadline had passed before the exchange began. Nothing was sent."""


class UnexpectedStatus(TransportRefusal):
    """The answer's HTTP status is neither 200 nor, as faults have it, 500. Redirects end here."""


class AnswerTooLarge(TransportRefusal):
    """The answer is longer than wanted; the rest was not read."""


class AnswerCoded(TransportRefusal):
    """The answer is compressed in a way that was not asked for, or its compression is broken."""


def keep_envelopes_out_of_logs() -> None:
    """Shut zeep's transport logger below INFO, also against a later change of its level."""
    logger = logging.getLogger("zeep.transports")
    logger.setLevel(max(logger.level, logging.INFO))
    logger.addFilter(_at_least_info)


def _at_least_info(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO


Origin = tuple[str, str, int]
"""Scheme, host and port."""


def origin(url: str) -> Origin:
    """Scheme, host and port of an http or https address; `AddressRefused` for any other.

    Read by the parser that requests connects with: another one may see another host in the same text.
    """
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise AddressRefused("the address is not one that can be read") from None
    if parts.scheme not in _PORTS or not parts.host:
        raise AddressRefused("the address is neither http nor https")
    return parts.scheme, parts.host, parts.port or _PORTS[parts.scheme]


class BillingTransport(Transport):
    """The transport of one billing API. Each use belongs to a `wire.Call` of the same thread."""

    def __init__(self, own: Origin, session: requests.Session) -> None:
        super().__init__(session=session)  # type: ignore[no-untyped-call]
        self._origin = own

    def require_origin(self, url: str) -> None:
        """Raise `AddressRefused` unless `url` has the scheme, host and port of the WSDL's address."""
        if origin(url) != self._origin:
            raise AddressRefused("the address has another scheme, host or port than the WSDL's own")

    def load(self, url: str) -> bytes:
        """The WSDL, as far as it is called, or a schema that it imports from the same origin."""
        if url == ENCODING_SCHEMA:
            return resources.files(__package__).joinpath("soap-encoding.xsd").read_bytes()
        call = wire.current_call()
        call.documents += 1
        if call.documents > MAX_WSDL_DOCUMENTS:
            raise AnswerTooLarge("the WSDL imports too many documents")
        with closing(self._exchange("GET", url, None, {})) as response:
            if response.status_code != 200:
                raise UnexpectedStatus(f"HTTP status {response.status_code}")
            document = whole(response)
        vet(document, max_elements=MAX_WSDL_ELEMENTS)
        return called_only(document)

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        """One POST, whose answer is 200, or 500 as faults have it. Its body is not read yet."""
        return self._exchange("POST", address, message, headers)

    def get(self, address: str, params: object, headers: object) -> requests.Response:
        """Refuse: this is how a WSDL could make zeep put a session id into an address."""
        raise AddressRefused("operations are called by POST only")

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> requests.Response:
        self.require_origin(url)
        left = wire.current_call().deadline - time.monotonic()
        if left <= 0:
            raise TooLate("the deadline had passed before the call began")
        response = self.session.request(
            method,
            url,
            data=body,
            # Uncompressed: NuSOAP's own compression is broken for some clients.
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=(min(CONNECT_TIMEOUT_S, left), left),
            allow_redirects=False,
            stream=True,
        )
        if response.status_code not in (200, 500):
            response.close()
            raise UnexpectedStatus(f"HTTP status {response.status_code}")
        return response


def open_transport(wsdl_url: str, connections: int) -> BillingTransport:
    """The transport for calls by up to `connections` threads. Sends nothing."""
    return BillingTransport(origin(wsdl_url), wire.open_session(wsdl_url, connections))


def whole(response: requests.Response) -> bytes:
    """The body of an answer that is short."""
    return b"".join(pieces(response, MAX_ANSWER_BYTES))


def pieces(response: requests.Response, max_bytes: int) -> Iterator[bytes]:
    """The body of an answer, decompressed, while it comes. Raises `AnswerTooLarge` after `max_bytes`."""
    raw: Any = response.raw
    received: Iterator[bytes] = raw.stream(_PIECE, decode_content=False)
    # Uncompressed is what was asked for; gzip is what gateways do all the same.
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        if coding not in ("gzip", "x-gzip"):
            raise AnswerCoded("the answer is compressed in a way that was not asked for")
        received = _decompressed(received)
    length = 0
    for piece in received:
        wire.current_call().remaining()
        length += len(piece)
        if length > max_bytes:
            raise AnswerTooLarge(f"the answer is longer than {max_bytes} bytes")
        yield piece


def _decompressed(received: Iterator[bytes]) -> Iterator[bytes]:
    """urllib3 does this as well; of some versions, a piece of a few kB becomes as much as it likes."""
    decoder = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    for data in received:
        wire.current_call().remaining()
        left = data
        while True:
            try:
                piece = decoder.decompress(left, _PIECE)
            except zlib.error:
                raise AnswerCoded("the answer's compression is broken") from None
            if piece:
                yield piece
            left = decoder.unconsumed_tail
            # A full piece may have left some of its own input in the decoder.
            if not left and len(piece) < _PIECE:
                break
        if decoder.unused_data:
            raise AnswerCoded("the answer goes on after its end")
    if not decoder.eof:
        raise AnswerCoded("the answer breaks off")
