"""The record of what went out, on which the word NOT_SENT rests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

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
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        connection, _peer = self._listening.accept()
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
