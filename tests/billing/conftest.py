"""A local billing API, and clients of it that are closed at the end."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef
from bot.sandbox.local_billing import LocalBilling
from tests.billing import weighed
from tests.billing.scripted import Scripted, scripted

VPS = InvoiceRef("vps", 10101)
"""Unpaid at the start, 10.00 USD."""

SESSION_ID = re.compile(r"[0-9a-f]{32}")

NewClient = Callable[..., BillingClient]


@pytest.fixture
async def api() -> AsyncIterator[LocalBilling]:
    billing = LocalBilling()
    await billing.start()
    yield billing
    await billing.stop()


@pytest.fixture
async def new_client(api: LocalBilling) -> AsyncIterator[NewClient]:
    """Makes clients of the local billing API; any argument can be given another value."""
    closing: list[Callable[[], Awaitable[None]]] = []

    def make(**others: Any) -> BillingClient:
        arguments: dict[str, Any] = {
            "wsdl_url": api.wsdl_url,
            "username": api.username,
            "password": SecretStr(api.password),
            "timeout": 5.0,
        }
        client = BillingClient(**(arguments | others))
        closing.append(lambda: client.close(grace=5.0))
        return client

    yield make
    api.heal()
    for close in closing:
        await close()


@pytest.fixture
def client(new_client: NewClient) -> BillingClient:
    return new_client()


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """A billing API whose answers a test writes."""
    async with scripted() as server:
        yield server


@pytest.fixture(scope="session")
def scales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process that weighs calls; what each needs is loaded there once and for all."""
    path = tmp_path_factory.mktemp("scales") / "socket"
    arguments = [sys.executable, "-m", "tests.billing.weighed", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield path
        process.kill()


@pytest.fixture
def weigh(scales: Path, server: Scripted) -> weighed.Weigh:
    async def weigh(call: str, timeout: float = weighed.TIMEOUT_S) -> dict[str, Any]:
        async with asyncio.timeout(timeout * 2 + 40):
            return await weighed.weigh(scales, server.url, call, timeout)

    return weigh


def assert_nothing_leaked(api: LocalBilling, said: str) -> None:
    """No password, no session id and no body in what was logged, told or raised."""
    assert api.password not in said
    assert not SESSION_ID.search(said)
    assert "Envelope" not in said


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    arguments = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out own.pem "
        "-days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([openssl, *arguments.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "own.pem").read_text() + (folder / "key.pem").read_text())
    return both


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
