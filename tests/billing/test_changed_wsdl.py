"""A description in which the payment takes other things than are known, or takes them in another order."""

from __future__ import annotations

import re

import pytest
from aiohttp import web

from bot.domain.payment import Verdict
from bot.errors import CannotPay
from tests.billing.conftest import VPS, NewClient
from tests.billing.scripted import LOGIN, PAY, SESSION, WSDL, Scripted, outcome, plain

SID, MODULE, INVOICE = (
    f'<part name="{name}" type="xsd:{kind}" />'
    for name, kind in (("sid", "string"), ("module", "string"), ("invoice", "int"))
)


def takes(server: Scripted, *parts: str) -> list[str]:
    """Let the payment be described by these parts; returns where the body of each call will stand."""

    async def described(_request: web.Request, document: bytes) -> web.StreamResponse:
        message = rf'(<message name="{PAY}Request">).*?(</message>)'.encode()
        changed, times = re.subn(
            message, rb"\1" + "".join(parts).encode() + rb"\2", document, flags=re.DOTALL
        )
        assert times == 1
        return plain(changed)

    async def paid(_request: web.Request, body: bytes) -> web.StreamResponse:
        bodies.append(body.decode())
        return plain(outcome("ok", "Payment made."))

    bodies: list[str] = []
    server.answers |= {WSDL: described, PAY: paid}
    return bodies


@pytest.mark.parametrize(
    "parts", [(SID, INVOICE, MODULE), (MODULE, SID, INVOICE), (INVOICE, MODULE, SID)], ids=str
)
async def test_each_thing_goes_under_its_own_name(
    parts: tuple[str, ...], server: Scripted, new_client: NewClient
) -> None:
    """Not by its place: the session went out as the module's name, and the module as the invoice."""
    bodies = takes(server, *parts)
    outcome = await new_client(wsdl_url=server.url).make_payment(VPS)
    assert outcome.verdict is Verdict.PAID
    (body,) = bodies
    assert re.findall(r"<(\w+)>([^<]+)</\1>", body) == [
        (name, {"sid": SESSION, "module": "vps", "invoice": "10101"}[name])
        for name in re.findall(r'name="(\w+)"', "".join(parts))
    ]


@pytest.mark.parametrize(
    "parts",
    [
        (SID, MODULE),
        (SID, MODULE, INVOICE.replace("invoice", "service")),
        (SID, MODULE, INVOICE, INVOICE.replace("invoice", "amount")),
        (SID.replace("sid", "session"), MODULE, INVOICE),
        (),
    ],
    ids=str,
)
async def test_what_takes_other_things_is_no_payment_that_is_known(
    parts: tuple[str, ...], server: Scripted, new_client: NewClient
) -> None:
    """Nothing is guessed, and nothing is sent: nobody has to look whether it was paid."""
    bodies = takes(server, *parts)
    client = new_client(wsdl_url=server.url)
    with pytest.raises(CannotPay):
        await client.prepare()
    assert (await client.make_payment(VPS)).verdict is Verdict.NOT_SENT
    assert bodies == []
    assert LOGIN not in server.received
