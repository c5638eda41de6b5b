"""A machine that sleeps, or a process that is stopped, between the word "begin" and the first byte."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from bot.billing import wire
from bot.billing.client import BillingClient
from bot.billing.verdicts import failure_of
from bot.domain.payment import Verdict
from tests.billing.conftest import VPS, server_tls
from tests.billing.scripted import PASSWORD, PAY, Scripted

TOO_OLD = "the intent to pay is too old; others may act on it"
LEASE = 0.5
"""Seconds after which others may act on the intent, in the process that is stopped."""


async def test_what_became_too_old_while_it_connected_is_not_sent(server: Scripted) -> None:
    """It is asked again with the connection open, and the server sees nothing."""
    client = BillingClient(wsdl_url=server.url, username="me", password=SecretStr(PASSWORD))
    words = iter([True, False])
    outcome = await client.make_payment(VPS, may_begin=lambda: next(words))
    await client.close(grace=1.0)
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.evidence == f"NotAllowed: {TOO_OLD}"
    assert next(words, None) is None
    assert PAY not in server.received


def outlast_the_lease(pid: int) -> None:
    """Wait until the process is stopped, and then until its lease is over."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    until = time.clock_gettime(time.CLOCK_BOOTTIME) + LEASE
    while time.clock_gettime(time.CLOCK_BOOTTIME) < until:
        time.sleep(0.01)


async def test_a_process_that_is_stopped_before_it_sends_sends_nothing_when_it_goes_on(
    server: Scripted,
) -> None:
    """Stopped right after it was told to begin; its lease is over when it goes on, by the clock that
    counts sleep."""
    program = f"""
import asyncio, signal, threading, time
from pydantic import SecretStr
from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef

asked = 0
def young():
    global asked
    asked += 1
    allowed = time.clock_gettime(time.CLOCK_BOOTTIME) - begun < {LEASE}
    if asked == 1:
        assert allowed
        # To this very thread: told to the process, it could run on and send before it stops.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    return allowed

async def main():
    global begun
    client = BillingClient(wsdl_url={server.url!r}, username="me", password=SecretStr("secret"))
    await client.prepare()
    begun = time.clock_gettime(time.CLOCK_BOOTTIME)
    outcome = await client.make_payment(InvoiceRef("vps", 10101), may_begin=young)
    print(outcome.verdict, outcome.evidence)
    await client.close(grace=1.0)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        await asyncio.to_thread(outlast_the_lease, process.pid)
        os.kill(process.pid, signal.SIGCONT)
        said, _ = await process.communicate()
    assert said.decode().strip() == f"NOT_SENT NotAllowed: {TOO_OLD}"
    assert PAY not in server.received


class Slow:
    """A TLS server whose handshake waits until it is told to go on."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.connected, self.go_on = threading.Event(), threading.Event()
        self.received = b""
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _peer = self._listening.accept()
        self.connected.set()
        self.go_on.wait(10)
        # Whoever sends nothing may end the connection without a word, and does from Python 3.13 on.
        with (
            self._tls.wrap_socket(connection, server_side=True) as secured,
            contextlib.suppress(ConnectionResetError),
        ):
            self.received = secured.recv(65536)

    def stop(self) -> None:
        self.go_on.set()
        self._thread.join()
        self._listening.close()


async def test_a_handshake_that_outlasts_the_lease_is_followed_by_nothing(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS may take long; what was allowed before it may not be so after it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = Slow(server_tls(certificate))
    allowed = True
    call = wire.Call(time.monotonic() + 10.0, may_send=lambda: allowed)

    def post() -> requests.Response:
        with wire.open_session(server.url, 1) as session, wire.calling(call):
            return session.post(server.url, data=b"envelope", timeout=10.0)

    posting = asyncio.create_task(asyncio.to_thread(post))
    assert await asyncio.to_thread(server.connected.wait, 10)
    allowed = False
    server.go_on.set()
    with pytest.raises(wire.NotAllowed) as caught:
        await posting
    server.stop()
    assert server.received == b""
    assert failure_of(caught.value, sent=call.sent).verdict is Verdict.NOT_SENT


async def test_a_body_is_held_back_when_the_lease_ended_behind_its_headers() -> None:
    """The server saw headers, and nothing to carry out. As a byte went out, it is called unknown."""
    received = bytearray()
    closed = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            received.extend(data)
        writer.close()
        closed.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    # The first is asked before the headers, the second as they are written, the third before the body.
    words = iter([True, True, False])
    call = wire.Call(time.monotonic() + 5.0, may_send=lambda: next(words))

    def post() -> requests.Response:
        with wire.open_session(url, 1) as session, wire.calling(call):
            return session.post(url, data=b"envelope", timeout=5.0)

    with pytest.raises(wire.NotAllowed) as caught:
        await asyncio.to_thread(post)
    async with asyncio.timeout(5):
        await closed.wait()
    server.close()
    assert b"POST / HTTP/1.1" in received
    assert b"envelope" not in received
    assert failure_of(caught.value, sent=call.sent).verdict is Verdict.UNKNOWN
