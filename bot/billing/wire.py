"""The wire under the billing API: one deadline for a whole call, and a record of whether it went out.

requests and urllib3 know a time-out for each read, so a server that sends a byte now and then holds a
thread for ever; and their exceptions do not always tell "could not connect" from "broke after sending".
Both are settled here, at the socket: every read gets what is left of the call's deadline, and
`Call.sent` is set just before the first byte of the request is handed over. Right before that it is asked
whether the call may still be made: connecting takes time, and a machine can sleep at any moment.

Trust: TLS is verified by a context made here, once, from the certificates that requests ships.
`Session.trust_env` is off, so nothing in the environment or in a .netrc changes that silently. Two
things are taken from the environment on purpose, because networks of companies need them: the proxies
(HTTPS_PROXY, HTTP_PROXY, NO_PROXY), and REQUESTS_CA_BUNDLE, which is said aloud in the log.
"""

from __future__ import annotations

import functools
import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
import structlog
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

log = structlog.get_logger()


@dataclass(slots=True)
class Call:
    """One exchange with the billing API, as the wire sees it.

    deadline: when it must be over, on the clock of `time.monotonic`.
    fresh: it wants a connection that was opened for it. A connection that has been idle may be closed
        by the server at the very moment we write to it, and nobody could tell whether it was received.
    may_send: asked right before its first byte goes out, and again before its body does.
    sent: a byte of the request may have left. While this is False, nothing was sent.
    documents: how many were loaded in it, of a WSDL.
    """

    deadline: float
    fresh: bool = False
    may_send: Callable[[], bool] | None = None
    sent: bool = False
    documents: int = 0

    def remaining(self) -> float:
        """Seconds left; `TimeoutError` when there are none, as a socket raises it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        return left

    def require_permission(self) -> None:
        """Raise `NotAllowed` where it may not be sent any more."""
        if self.may_send is not None and not self.may_send():
            raise NotAllowed(TOO_OLD)


TOO_OLD = "the intent to pay is too old; others may act on it"


class NotAllowed(Exception):
    """It may not be sent any more. The text is our own."""


class BundleUnusable(Exception):
    """REQUESTS_CA_BUNDLE names nothing that certificates can be read from. The text is our own."""


_current: ContextVar[Call] = ContextVar("billing_call")


@contextmanager
def calling(call: Call) -> Iterator[None]:
    """Everything that this thread sends or reads inside the block belongs to `call`."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)


def current_call() -> Call:
    """The call that this thread is in; a bug (`LookupError`) outside of `calling`."""
    return _current.get()


class _TimedReader(io.RawIOBase):
    """Reads a socket; each read may last as long as the whole call still may."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(current_call().remaining())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """All that http.client wants of a socket when it reads an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket))


class _TimedResponse(http.client.HTTPResponse):
    """Status line, headers and body under the deadline; a proxy's answer to CONNECT as well."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _WatchedConnection(HTTPConnection):
    response_class = _TimedResponse

    @property
    def is_connected(self) -> bool:
        # The pool asks this of a connection it is about to reuse, and opens it anew on False.
        return super().is_connected and not current_call().fresh

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        # Connecting comes first, so that a refused connection does not count as sending.
        if self.sock is None:
            self.connect()
        # A process that was frozen while it connected must not send after its time.
        call = current_call()
        call.remaining()
        call.require_permission()
        call.sent = True
        super().endheaders(*args, **kwargs)

    def send(self, data: Any) -> None:
        # The body follows its headers in a write of its own. Without it, nothing can be carried out.
        current_call().require_permission()
        super().send(data)


class _WatchedTLSConnection(_WatchedConnection, HTTPSConnection):
    pass


class _WatchedPool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _WatchedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLSConnection


_POOLS = {"http": _WatchedPool, "https": _WatchedTLSPool}


class _Adapter(HTTPAdapter):
    """Watched connections, one TLS context for all of them, and no retry of any kind."""

    def __init__(self, connections: int) -> None:
        self._tls = _tls_context()
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        if proxy.lower().startswith("socks"):
            raise requests.exceptions.InvalidSchema("SOCKS proxies are not supported")
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._tls, proxy_ssl_context=self._tls, **kwargs
        )
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        # Whatever a session's `verify` says: certificates are checked.
        return super().build_connection_pool_key_attributes(request, True, cert)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Add no trust of its own: the context holds it, and parsing a bundle takes 10 ms a connection."""


class _Session(requests.Session):
    """A session that knows no redirects, whatever `allow_redirects` says.

    requests reads a redirect's whole body and repeats a 307 with its envelope, to other hosts too.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def open_session(url: str, connections: int) -> requests.Session:
    """A session for calls to `url` by up to `connections` threads. Sends nothing."""
    session = _Session()
    session.trust_env = False
    session.proxies = get_environ_proxies(url)
    adapter = _Adapter(connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _tls_context() -> ssl.SSLContext:
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        log.warning("the billing API's TLS certificate is checked against REQUESTS_CA_BUNDLE", bundle=bundle)
    try:
        return _trusting(bundle or DEFAULT_CA_BUNDLE_PATH)
    except OSError as error:
        raise BundleUnusable(f"REQUESTS_CA_BUNDLE: no certificates can be read from {bundle}") from error


@functools.cache
def _trusting(bundle: str) -> ssl.SSLContext:
    """Reads the bundle, a file or a folder, once in a process: that takes some 15 ms."""
    if os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
