"""zeep's way to the network, with nothing left to chance.

What it promises beyond `wire`: it talks to the origin (scheme, host and port) of the configured WSDL
and to no other, whatever a WSDL or an answer says; it follows no redirect; it takes at most
`MAX_ANSWER` bytes, counted after decompression; it opens no file, and answers the one schema that
every WSDL of NuSOAP refers to from the package. zeep's own `post` logs whole envelopes at DEBUG, the
password included: it is replaced here, and its logger is shut below INFO as well.
"""

from __future__ import annotations

import io
import logging
import time
from contextlib import closing
from importlib import resources
from typing import Any

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url
from zeep.transports import Transport

from bot.billing import wire
from bot.billing.wsdl import called_only

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes. The longest answer wanted is a list of invoices, at about 950 bytes a row."""

CONNECT_TIMEOUT = 10.0
"""Seconds for one TCP connection and its TLS handshake, each, or what is left of the call if less."""

ENCODING_SCHEMA = "http://schemas.xmlsoap.org/soap/encoding/"

_PORTS = {"http": 80, "https": 443}
_CHUNK = 64 * 1024


class TransportRefusal(Exception):
    """This bot stopped an exchange on purpose. The text is our own: no address, no body."""


class AddressRefused(TransportRefusal):
    """The address is not the billing API's. Nothing was sent to it."""


class TooLate(TransportRefusal):
    """The deadline had passed before the exchange began. Nothing was sent."""


class UnexpectedStatus(TransportRefusal):
    """The answer's HTTP status is neither 200 nor, as faults have it, 500. Redirects end here."""


class AnswerTooLarge(TransportRefusal):
    """The answer is longer than `MAX_ANSWER`; the rest was not read."""


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
        response = self._exchange("GET", url, None, {})
        if response.status_code != 200:
            raise UnexpectedStatus(f"HTTP status {response.status_code}")
        return called_only(response.content)

    def post(self, address: str, message: bytes, headers: dict[str, str]) -> requests.Response:
        """One POST, whose answer is 200, or 500 as faults have it."""
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
            timeout=(min(CONNECT_TIMEOUT, left), left),
            allow_redirects=False,
            stream=True,
        )
        with closing(response):
            if response.status_code not in (200, 500):
                raise UnexpectedStatus(f"HTTP status {response.status_code}")
            content = _capped(response.raw)
        response.raw = io.BytesIO(content)
        return response


def open_transport(wsdl_url: str, connections: int) -> BillingTransport:
    """The transport for calls by up to `connections` threads. Sends nothing."""
    return BillingTransport(origin(wsdl_url), wire.open_session(wsdl_url, connections))


def _capped(raw: Any) -> bytes:
    content = bytearray()
    for chunk in raw.stream(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > MAX_ANSWER:
            raise AnswerTooLarge(f"the answer is longer than {MAX_ANSWER} bytes")
    return bytes(content)
