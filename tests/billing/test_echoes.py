"""An API that sends back what it was sent: no session id and no password is shown or stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import Outcome, Verdict
from bot.sandbox.local_billing import nusoap
from tests.billing.conftest import VPS
from tests.billing.scripted import (
    LOGIN,
    MODULES,
    PASSWORD,
    PAY,
    SESSION,
    UNPAID,
    Scripted,
    outcome,
    plain,
    row,
    rows,
)


@pytest.fixture
async def client(server: Scripted) -> AsyncIterator[BillingClient]:
    client = BillingClient(wsdl_url=server.url, username="somebody", password=SecretStr(PASSWORD))
    yield client
    await client.close(grace=5.0)


def assert_no_secret(told: object, session: str = SESSION) -> None:
    said = repr(told)
    for secret in (session, PASSWORD):
        for form in (secret, escape(secret), escape(escape(secret)), quote(secret, safe="")):
            assert form not in said


@pytest.mark.parametrize("status", ["ok", "error", "pending"])
@pytest.mark.parametrize("twice", [False, True])
async def test_an_envelope_that_comes_back_holds_no_session(
    status: str, twice: bool, server: Scripted, client: BillingClient
) -> None:
    """The whole request stands in status_text; the rest of it is told as it came."""

    async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
        text = body.decode()
        return plain(outcome(status, escape(text) if twice else text))

    server.answers[PAY] = echo
    told = await client.make_payment(VPS)
    assert told.status_text is not None
    assert "api_make_payment" in told.status_text
    assert "10101" in told.status_text
    assert "[redacted]" in told.status_text
    assert_no_secret(told)


@pytest.mark.parametrize("write", [str, escape, quote, lambda text: escape(escape(text))])
async def test_a_password_that_comes_back_is_taken_out(
    write: type[str], server: Scripted, client: BillingClient
) -> None:
    """However it is written, in the status as well, and in what an invoice is for."""
    secret = write(PASSWORD)
    server.answers[PAY] = outcome(f"denied for {secret}", f"somebody:{secret}@billing said no")
    server.answers[UNPAID] = rows(UNPAID, row(description=f"For {secret} and {SESSION}"))
    told = await client.make_payment(VPS)
    assert told == Outcome(
        Verdict.UNKNOWN,
        "denied for [redacted]",
        "somebody:[redacted]@billing said no",
        "answered with a status that is neither ok nor error",
        answered=True,
    )
    [invoice] = (await client.unpaid_invoices("vps")).invoices
    assert invoice.description == "For [redacted] and [redacted]"


@pytest.mark.parametrize(
    "written",
    [
        "Rosa&#039;s &quot;Key&quot;/9",
        'Rosa\'s \\"Key\\"\\/9',
        'Rosa\\\'s \\"Key\\"/9',
        "Rosa%27s+%22Key%22%2f9",
    ],
)
async def test_a_password_as_php_writes_it_is_taken_out_and_the_banks_reference_stays(
    written: str, server: Scripted
) -> None:
    """A reference may look like a session; the bot's own sessions are known by their value."""
    reference = "Transaction 5d41402abc4b2a76b9719d911017c592"
    server.answers[PAY] = outcome("error", f"Login with {written} in {SESSION} failed. {reference}")
    client = BillingClient(wsdl_url=server.url, username="u", password=SecretStr('Rosa\'s "Key"/9'))
    told = await client.make_payment(VPS)
    await client.close(grace=5.0)
    assert told.status_text == f"Login with [redacted] in [redacted] failed. {reference}"


async def test_a_session_that_was_replaced_is_still_known(server: Scripted, client: BillingClient) -> None:
    """It may live on at the API, and come back later, in any of the shapes that PHP gives one."""
    first, second = "First,Session-0123456789", "Second,Session-0123456789"
    server.answers[LOGIN] = nusoap.response(LOGIN, nusoap.simple(first))
    server.answers[PAY] = nusoap.fault("Session expired", "SOAP-ENV:Server")
    assert (await client.make_payment(VPS)).verdict is Verdict.UNKNOWN
    server.answers[LOGIN] = nusoap.response(LOGIN, nusoap.simple(second))
    server.answers[PAY] = outcome("error", f"{first} and {second}")
    assert (await client.make_payment(VPS)).status_text == "[redacted] and [redacted]"


async def test_a_secret_is_no_name_of_a_module(server: Scripted, client: BillingClient) -> None:
    """Names are shown to everybody who mistypes one."""
    session = "a" + "0" * 31
    server.answers[LOGIN] = nusoap.response(LOGIN, nusoap.simple(session))
    await client.prepare()
    names = [nusoap.simple(name, "item") for name in ("vps", session)]
    server.answers[MODULES] = nusoap.response(MODULES, nusoap.array("xsd:string", names))
    assert await client.modules() == ("vps",)


async def test_a_secret_that_begins_where_a_text_is_cut_is_not_kept_in_half(
    server: Scripted, client: BillingClient
) -> None:
    """At every place around the cut."""
    for before in range(15_900, 16_010, 9):
        server.answers[PAY] = outcome("error", "x" * before + PASSWORD + SESSION)
        told = await client.make_payment(VPS)
        assert told.status_text is not None
        assert len(told.status_text.encode()) <= 16_000
        assert PASSWORD[:4] not in told.status_text
        assert SESSION[:4] not in told.status_text
