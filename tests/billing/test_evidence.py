"""What the client reads to say how an invoice stands: the short list first, the long one where it must."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceEvidence, Proof
from bot.errors import AnswerLost, Unreadable
from bot.sandbox.local_billing import nusoap
from tests.billing.conftest import VPS
from tests.billing.scripted import ALL, LOGIN, PASSWORD, UNPAID, Scripted, plain, row, rows


@pytest.fixture
async def client(server: Scripted) -> AsyncIterator[BillingClient]:
    client = BillingClient(wsdl_url=server.url, username="me", password=SecretStr(PASSWORD), timeout=2.0)
    yield client
    await client.close(grace=5.0)


def lists(server: Scripted) -> list[str]:
    return [operation for operation in server.received if operation != LOGIN]


async def test_an_unpaid_invoice_is_told_by_the_short_list_alone(
    server: Scripted, client: BillingClient
) -> None:
    """Until that would settle it: then the list of all may contradict."""
    assert (await client.evidence_of(VPS, decisive=False)).proof is Proof.STILL_UNPAID
    assert lists(server) == [UNPAID]
    server.answers[ALL] = rows(ALL, row(), row(id=90001, type=10, extra=10101, paid=1))
    assert (await client.evidence_of(VPS, decisive=True)).proof is None
    assert lists(server) == [UNPAID, UNPAID, ALL]


@pytest.mark.parametrize("decisive", [True, False])
async def test_an_invoice_that_left_the_short_list_is_looked_for_in_the_long_one(
    decisive: bool, server: Scripted, client: BillingClient
) -> None:
    """What says that it was paid stands only there. An empty short list is that of a customer who paid."""
    server.answers[UNPAID] = rows(UNPAID)
    server.answers[ALL] = rows(ALL, row(paid=1))
    assert (await client.evidence_of(VPS, decisive=decisive)).proof is Proof.PAID_FLAG
    server.answers[ALL] = rows(ALL, row(paid=1), row(id=90001, type=10, extra=10101, paid=1))
    assert await client.evidence_of(VPS, decisive=decisive) == InvoiceEvidence(False, True, 90001)


async def test_two_empty_lists_prove_nothing(server: Scripted, client: BillingClient) -> None:
    """An API that has lost its database answers so."""
    server.answers[UNPAID], server.answers[ALL] = rows(UNPAID), rows(ALL)
    assert (await client.evidence_of(VPS)).proof is None


@pytest.mark.parametrize(
    "answer", [nusoap.fault("Too much data", "SOAP-ENV:Server"), rows(ALL, row(paid=1))[:-80], b"<html/>"]
)
async def test_without_the_long_list_the_short_one_tells_what_it_can(
    answer: bytes, server: Scripted, client: BillingClient
) -> None:
    """And says that it is all there was: a long list that breaks off is none."""
    server.answers[ALL] = answer
    assert await client.evidence_of(VPS) == InvoiceEvidence(True, None, None, history=False)
    server.answers[UNPAID] = rows(UNPAID, row(id=5))
    assert await client.evidence_of(VPS) == InvoiceEvidence(False, None, None, gone=True, history=False)


async def test_a_long_list_that_takes_too_long_does_not_lose_the_short_one(
    server: Scripted, client: BillingClient
) -> None:
    """Each has a time of its own."""

    async def slow(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        assert request.transport is not None
        while not request.transport.is_closing():
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    server.answers[ALL] = slow
    assert await client.evidence_of(VPS) == InvoiceEvidence(True, None, None, history=False)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (nusoap.fault("Access denied", "SOAP-ENV:Server"), Unreadable),
        (rows(UNPAID, row())[:-80], AnswerLost),
        (rows(UNPAID, row()).replace(b"invoices[1]", b"invoices[2]"), AnswerLost),
        (nusoap.response(UNPAID, nusoap.simple("error")), AnswerLost),
    ],
)
async def test_without_the_short_list_nothing_is_said(
    answer: bytes, error: type[Exception], server: Scripted, client: BillingClient
) -> None:
    """Whatever the long one would say."""
    server.answers[UNPAID] = answer
    with pytest.raises(error):
        await client.evidence_of(VPS)
    assert ALL not in server.received


async def test_a_list_is_read_anew_after_a_login_and_not_added_to(
    server: Scripted, client: BillingClient
) -> None:
    """What a broken answer told before it broke does not count for the next one."""
    asked = 0

    async def first_a_fault(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked == 1:
            response = plain(rows(UNPAID, row(id=5)))
            response.set_status(500)
            return response
        return plain(rows(UNPAID, row()))

    server.answers[UNPAID] = first_a_fault
    with pytest.raises(AnswerLost):
        await client.unpaid_invoices("vps")
    assert [one.ref for one in (await client.unpaid_invoices("vps")).invoices] == [VPS]
