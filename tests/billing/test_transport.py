"""The transport's walls: one origin, no redirects, verified TLS, caps, silence in the logs."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from pathlib import Path

import pytest
import requests
from aiohttp import web
from structlog.testing import capture_logs

from bot.billing import wire
from bot.billing.client import BillingClient
from bot.billing.transport import ENCODING_SCHEMA, AddressRefused, open_transport, origin
from bot.domain.payment import Outcome, Verdict
from bot.errors import AnswerLost
from bot.sandbox.local_billing import LocalBilling
from tests.billing.conftest import VPS, NewClient, server_tls
from tests.billing.relay import Relay

ServeWsdl = Callable[[bytes], Awaitable[str]]


@pytest.fixture
async def serve_wsdl() -> AsyncIterator[ServeWsdl]:
    """Serves a document as a WSDL at an address of its own; `OWN` in it becomes that origin."""
    runners: list[web.AppRunner] = []

    async def serve(document: bytes) -> str:
        async def answer(request: web.Request) -> web.Response:
            own = f"http://{request.host}".encode()
            return web.Response(body=document.replace(b"OWN", own), content_type="text/xml")

        app = web.Application()
        app.router.add_get("/api.php", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        runners.append(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        return f"http://{host}:{port}/api.php?wsdl"

    yield serve
    for runner in runners:
        await runner.cleanup()


def wsdl(*, inside_schema: str = "", before: str = "") -> bytes:
    """The documented WSDL with its calls at `OWN`, and something added."""
    document = resources.files("bot.sandbox.local_billing").joinpath("myapi.wsdl").read_text()
    document = document.replace("https://my.interserver.net/api.php", "OWN/api.php")
    declaration, rest = document.split("?>", 1)
    rest = rest.replace(" <xsd:import namespace", f"{inside_schema} <xsd:import namespace", 1)
    return f"{declaration}?>{before}{rest}".encode()


async def test_the_documented_wsdl_needs_no_other_address(
    serve_wsdl: ServeWsdl, new_client: NewClient
) -> None:
    """The schema that it imports comes from the package; what fails is only the login that is not there."""
    client = new_client(wsdl_url=await serve_wsdl(wsdl()))
    outcome = await client.make_payment(VPS)
    assert outcome.evidence == "login failed: UnexpectedStatus: HTTP status 405"


async def test_the_port_of_soap_is_found_behind_others(serve_wsdl: ServeWsdl, new_client: NewClient) -> None:
    """Calls that put a session id into an address are left alone."""
    http = 'xmlns:http="http://schemas.xmlsoap.org/wsdl/http/"'
    binding = f'<binding name="get" type="tns:myapiPortType"><http:binding {http} verb="GET"/></binding>'
    port = f'<port name="get" binding="tns:get"><http:address {http} location="OWN/api.php"/></port>'
    document = wsdl().replace(b"<service ", f"{binding}<service ".encode(), 1)
    document = document.replace(b"<port ", f"{port}<port ".encode(), 1)
    client = new_client(wsdl_url=await serve_wsdl(document))
    outcome = await client.make_payment(VPS)
    assert outcome.evidence == "login failed: UnexpectedStatus: HTTP status 405"


@pytest.mark.parametrize(
    "location", ["{api}", "file:///etc/hostname", "/etc/hostname", "ftp://127.0.0.1/x.xsd"]
)
async def test_a_wsdl_cannot_make_us_load_from_elsewhere(
    location: str, api: LocalBilling, serve_wsdl: ServeWsdl, new_client: NewClient
) -> None:
    """An import from another port of the same host, or from this machine's files, is refused."""
    address = location.format(api=api.wsdl_url)
    extra = f'<xsd:import namespace="urn:other" schemaLocation="{address}"/>'
    url = await serve_wsdl(wsdl(inside_schema=extra))
    outcome = await new_client(wsdl_url=url).make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    # A path without a host is one of the WSDL's own origin, where there is nothing.
    expected = "UnexpectedStatus: HTTP status 404" if location == "/etc/hostname" else "AddressRefused"
    assert expected in outcome.evidence


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE definitions SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE definitions [<!ENTITY a "aaaa">]>',
    ],
)
async def test_a_wsdl_with_a_dtd_is_refused(
    before: str, serve_wsdl: ServeWsdl, new_client: NewClient
) -> None:
    """No document type, whether it names a file elsewhere or holds entities."""
    outcome = await new_client(wsdl_url=await serve_wsdl(wsdl(before=before))).make_payment(VPS)
    assert outcome.evidence == "the WSDL could not be used: MarkupRefused: the answer has a DTD"


@pytest.mark.parametrize(
    ("mode", "evidence"),
    [
        ("huge-after", "AnswerTooLarge: the answer is longer than 4194304 bytes"),
        ("huge-compressed-after", "AnswerTooLarge: the answer is longer than 4194304 bytes"),
        ("redirect-before", "UnexpectedStatus: HTTP status 307"),
        ("http-500-before", "UnexpectedStatus: HTTP status 500"),
        ("no-wsdl", "UnexpectedStatus: HTTP status 404"),
        (
            "elsewhere",
            "AddressRefused: the address has another scheme, host or port than the WSDL's own",
        ),
    ],
)
async def test_a_bad_wsdl_is_not_sent_with_clear_evidence(
    mode: str, evidence: str, api: LocalBilling, new_client: NewClient
) -> None:
    """What is wrong with the WSDL is said in words; a redirect is not followed for a GET either."""
    api.fail(mode, operation="wsdl")
    outcome = await new_client().make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.evidence == f"the WSDL could not be used: {evidence}"


@pytest.mark.parametrize("operation", ["api_make_payment", "api_login"])
async def test_a_wsdl_without_the_operation_is_not_sent(
    operation: str, serve_wsdl: ServeWsdl, new_client: NewClient
) -> None:
    """An API that cannot pay, or let anybody in, is told as such."""
    document = wsdl().replace(f'"{operation}"'.encode(), b'"api_other"')
    client = new_client(wsdl_url=await serve_wsdl(document))
    outcome = await client.make_payment(VPS)
    assert outcome == Outcome(Verdict.NOT_SENT, None, None, f"the WSDL has no operation {operation}")


def test_an_origin_is_scheme_host_and_port() -> None:
    """Default ports count as written out, and case does not matter; a user name changes nothing."""
    assert origin("https://My.Example/api.php") == origin("https://my.example:443/other?x")
    assert origin("http://a@my.example/") == ("http", "my.example", 80)
    assert origin("http://my.example/") != origin("https://my.example:80/")
    assert origin("http://evil.example\\@my.example/") == ("http", "evil.example", 80)
    for address in ("", "my.example", "ftp://my.example/", "file:///etc/hostname", "http://"):
        with pytest.raises(AddressRefused):
            origin(address)


def test_calls_are_made_by_post_only(api: LocalBilling) -> None:
    """A WSDL with an HTTP GET binding cannot put a session id into an address."""
    transport = open_transport(api.wsdl_url, 1)
    with pytest.raises(AddressRefused):
        transport.get(api.wsdl_url, {}, {})
    assert b"arrayType" in transport.load(ENCODING_SCHEMA)


async def test_a_payment_never_uses_a_connection_that_was_used_before(
    api: LocalBilling, new_client: NewClient
) -> None:
    """A kept connection that the server closes under us breaks a read, but not a payment."""
    async with Relay(api) as relay:
        client = new_client(wsdl_url=relay.wsdl_url)
        await client.unpaid_invoices("vps")
        await client.unpaid_invoices("vps")
        assert relay.connections == 1
        relay.reset_reused = True
        outcome = await client.make_payment(VPS)
        assert outcome.verdict is Verdict.PAID, outcome
        assert relay.connections == 2
        with pytest.raises(AnswerLost):
            await client.unpaid_invoices("vps")
        await client.close(grace=1.0)


async def test_an_api_that_went_away_since_the_last_read_is_not_sent(
    api: LocalBilling, new_client: NewClient
) -> None:
    """Because a payment opens its connection, a refused one proves that nothing was sent."""
    client = new_client()
    await client.unpaid_invoices("vps")
    await api.stop()
    outcome = await client.make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.evidence == "NewConnectionError: no connection could be made"


async def test_zeep_cannot_be_made_to_log_envelopes(
    client: BillingClient, api: LocalBilling, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where somebody turns its transport's logger to DEBUG after the client was built."""
    logger = logging.getLogger("zeep.transports")
    assert logger.level >= logging.INFO
    with caplog.at_level("DEBUG", "zeep.transports"):
        await client.make_payment(VPS)
        logger.debug("<SOAP-ENV:Envelope/>")
    assert "Envelope" not in caplog.text
    assert api.password not in caplog.text


async def test_proxies_of_the_environment_are_used(
    api: LocalBilling, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's proxy is asked, a dead one means that nothing was sent, and NO_PROXY excepts hosts."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    outcome = await new_client().make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert "ProxyError: the proxy did not connect" in outcome.evidence
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert (await new_client().make_payment(VPS)).verdict is Verdict.PAID


async def test_a_payment_goes_through_a_proxy(
    api: LocalBilling, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a forwarding proxy the payment arrives, once."""
    async with Relay(api) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        client = new_client(wsdl_url=proxy.wsdl_url)
        assert (await client.make_payment(VPS)).verdict is Verdict.PAID
        assert api.payments_received("vps", 10101) == 1
        await client.close(grace=1.0)


async def test_socks_proxies_are_refused(new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy whose connections we could not watch is not used, also where requests has what it takes."""
    used: list[str] = []
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", lambda proxy, **_more: used.append(proxy))
    monkeypatch.setenv("ALL_PROXY", "SOCKS5://127.0.0.1:9")
    outcome = await new_client().make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert "InvalidSchema" in outcome.evidence
    assert used == []


async def test_tls_that_is_none_is_not_sent(api: LocalBilling, new_client: NewClient) -> None:
    """A server that does not speak TLS ends the handshake, before anything was sent."""
    url = api.wsdl_url.replace("http://", "https://")
    outcome = await new_client(wsdl_url=url).make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert "SSLError: TLS could not be agreed or verified" in outcome.evidence


async def test_a_certificate_that_nobody_trusts_is_not_sent(
    api: LocalBilling, new_client: NewClient, certificate: Path
) -> None:
    """Verification is on: a self-signed certificate ends the handshake."""
    async with Relay(api, server_tls(certificate)) as relay:
        outcome = await new_client(wsdl_url=relay.wsdl_url).make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert "SSLError: TLS could not be agreed or verified" in outcome.evidence
    assert api.log == []


def hashed(certificate: Path, folder: Path) -> Path:
    """A folder in which OpenSSL finds the certificate."""
    arguments = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
    name = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(certificate, folder / f"{name}.0")
    return folder


@pytest.mark.parametrize("as_folder", [False, True])
async def test_a_bundle_of_the_environment_is_used_aloud(
    as_folder: bool,
    api: LocalBilling,
    new_client: NewClient,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """REQUESTS_CA_BUNDLE adds a company's own authority, and the log says so. The WSDL then comes over
    TLS; and as its calls would go out without, they are refused."""
    bundle = hashed(certificate, tmp_path) if as_folder else certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    async with Relay(api, server_tls(certificate)) as relay:
        client = new_client(wsdl_url=relay.wsdl_url)
        with capture_logs() as logged:
            outcome = await client.make_payment(VPS)
        await client.close(grace=1.0)
    (said,) = logged
    assert "REQUESTS_CA_BUNDLE" in said["event"]
    assert said["bundle"] == str(bundle)
    assert outcome.verdict is Verdict.NOT_SENT
    assert "AddressRefused: the address has another scheme" in outcome.evidence
    assert api.log == []


@pytest.mark.parametrize("bundle", ["/nowhere/bundle.pem", "/etc/hostname"])
async def test_a_bundle_that_cannot_be_used_is_named_and_nothing_is_sent(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    """A broken setting does not fall back to other trust, and is not called a broken connection."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    outcome = await new_client().make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert f"REQUESTS_CA_BUNDLE: no certificates can be read from {bundle}" in outcome.evidence


async def test_verification_cannot_be_turned_off(api: LocalBilling, certificate: Path) -> None:
    """Not by `verify`, neither of a session nor of a request."""
    async with Relay(api, server_tls(certificate)) as relay:
        session = wire.open_session(relay.wsdl_url, 1)
        session.verify = False

        def get() -> None:
            with wire.calling(wire.Call(time.monotonic() + 5.0)):
                session.get(relay.wsdl_url, verify=False, timeout=5.0)

        with pytest.raises(requests.exceptions.SSLError):
            await asyncio.to_thread(get)
        session.close()
