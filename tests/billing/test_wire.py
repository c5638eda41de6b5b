"""The record of what went out, on which the word NOT_SENT rests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from bot.billing import wire
from bot.billing.verdicts import failure_of
from bot.domain.payment import Verdict
from tests.billing.conftest import server_tls


class Garbler:
    """A TLS server that reads one request, and answers below TLS with what is none."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.requests = b""
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}/"

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        try:
            connection, _peer = self._listening.accept()
        except OSError:
            return  # nobody came
        try:
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                while b"envelope" not in self.requests:
                    self.requests += secured.recv(65536)
                socket.socket.send(secured, b"this is no TLS record at all")
        except ssl.SSLError:
            connection.close()  # the client did not trust us


@pytest.fixture
def garbler(certificate: Path) -> Iterator[Garbler]:
    server = Garbler(server_tls(certificate))
    yield server
    server.stop()


def post(url: str, call: wire.Call) -> requests.Response:
    """One POST, as the transport makes it."""
    session = wire.open_session(url, 1)
    try:
        with wire.calling(call):
            return session.post(url, data=b"envelope", timeout=5.0)
    finally:
        session.close()


@asynccontextmanager
async def open_proxy(to: str | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A proxy that passes on what comes after CONNECT, to there, or refuses. Gives its port."""
    served: list[asyncio.Task[None] | None] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"CONNECT 127.0.0.1:")
        if to is None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            writer.close()
            return
        behind = await asyncio.open_connection("127.0.0.1", urlsplit(to).port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, behind[1]), pump(behind[0], writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.gather(*filter(None, served))


def test_a_call_has_what_is_left_until_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read may take that long, and none is begun at its deadline or after it."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert wire.Call(100.5).remaining() == 0.5
    for deadline in (100.0, 99.0):
        with pytest.raises(TimeoutError):
            wire.Call(deadline).remaining()


def test_outside_of_a_call_there_is_none() -> None:
    """Whoever would send or read on behalf of a call that is over is a bug, and hears so."""
    with wire.calling(wire.Call(time.monotonic() + 5.0)):
        wire.current_call()
    with pytest.raises(LookupError):
        wire.current_call()


def test_a_tls_error_after_the_request_is_unknown(
    garbler: Garbler, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is that of a failed handshake; the wire knows that the request had gone out."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    call = wire.Call(time.monotonic() + 5.0)
    with pytest.raises(requests.exceptions.SSLError) as caught:
        post(garbler.url, call)
    assert b"envelope" in garbler.requests
    assert call.sent
    assert failure_of(caught.value, sent=call.sent).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_goes_through_a_tunnel_is_watched_and_verified_as_well(
    scheme: str, garbler: Garbler, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy opens a way to the API, and may want TLS itself: one bundle is trusted for both."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    async with open_proxy(garbler.url, server_tls(certificate) if scheme == "https" else None) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{port}")
        call = wire.Call(time.monotonic() + 5.0)
        with pytest.raises(requests.exceptions.SSLError):
            await asyncio.to_thread(post, garbler.url, call)
    assert call.sent
    assert b"envelope" in garbler.requests


async def test_what_a_proxy_is_asked_for_is_none_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that opens no way has seen nothing of it."""
    async with open_proxy(None) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        call = wire.Call(time.monotonic() + 5.0)
        with pytest.raises(requests.exceptions.ProxyError):
            await asyncio.to_thread(post, "https://127.0.0.1:9/", call)
    assert not call.sent


def test_a_tls_error_before_the_request_is_not_sent(garbler: Garbler) -> None:
    """A handshake that fails has let nothing out."""
    call = wire.Call(time.monotonic() + 5.0)
    with pytest.raises(requests.exceptions.SSLError) as caught:
        post(garbler.url, call)
    assert not call.sent
    assert failure_of(caught.value, sent=call.sent).verdict is Verdict.NOT_SENT
    assert garbler.requests == b""


def test_a_refused_connection_has_let_nothing_out() -> None:
    """Connecting comes before sending, also where urllib3 does both in one step."""
    call = wire.Call(time.monotonic() + 5.0)
    with pytest.raises(requests.exceptions.ConnectionError):
        post("http://127.0.0.1:9/", call)
    assert not call.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_tried_a_second_time(method: str) -> None:
    """Whoever asked decides that; what failed may have arrived."""
    requested: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requested.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    def request() -> None:
        with wire.calling(wire.Call(time.monotonic() + 5.0)), closing(wire.open_session(url, 1)) as session:
            session.request(method, url, timeout=5.0)

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(requests.exceptions.ConnectionError):
        await asyncio.to_thread(request)
    server.close()
    assert len(requested) == 1


async def test_nothing_of_the_machine_is_added_to_a_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .netrc with a password for the host does not get into the request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password unheard-of\n")
    monkeypatch.setenv("NETRC", str(netrc))
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"envelope"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    call = wire.Call(time.monotonic() + 5.0)
    response = await asyncio.to_thread(post, url, call)
    server.close()
    assert response.status_code == 200
    assert call.sent
    assert b"Authorization" not in heard[0]
