"""Logging in: seldom, once for everybody, and never with a session that may be dead."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from bot.billing import calls
from bot.billing.client import BillingClient
from bot.domain.login import Login
from bot.domain.payment import InvoiceRef, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.sandbox.local_billing import LocalBilling, failures
from tests.billing.conftest import VPS, NewClient
from tests.fixture_types import Clock


def operations(api: LocalBilling) -> list[str]:
    return [call.operation.removeprefix("api_") for call in api.log]


async def test_a_payment_right_after_a_read_costs_one_call(api: LocalBilling, client: BillingClient) -> None:
    """On an open session there is one read and one payment, and no login between them."""
    await client.unpaid_invoices("vps")
    await client.make_payment(VPS)
    assert operations(api) == ["login", "vps_get_client_unpaid_invoices", "make_payment"]


async def test_eight_calls_at_once_log_in_once(api: LocalBilling, client: BillingClient) -> None:
    """The first call logs in, and the others wait for it."""
    refs = [InvoiceRef("backups", number) for number in range(20001, 20009)]
    for ref in refs:
        api.add_invoice(ref.module, ref.number)
    outcomes = await asyncio.gather(*(client.make_payment(ref) for ref in refs))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.PAID}
    assert operations(api).count("login") == 1
    assert all(api.payments_received(ref.module, ref.number) == 1 for ref in refs)


async def test_a_wrong_password_is_tried_once_for_all_who_wait(
    api: LocalBilling, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers that waited for a login that failed share its failure, so that no account is locked."""
    monkeypatch.setattr(failures, "SLOW_SECONDS", 1.0)
    api.fail("slow", operation="api_login")
    client = new_client(password=SecretStr("wrong"))
    outcomes = await asyncio.gather(*(client.make_payment(VPS) for _ in range(8)))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.NOT_SENT}
    assert {outcome.evidence for outcome in outcomes} == {
        "login refused: check the billing user name and password"
    }
    assert operations(api) == ["login"]


async def test_the_last_login_is_told(new_client: NewClient, clock: Clock) -> None:
    """Whether it was refused, and when it was answered: operators hear of the one, and that it is over."""
    client = new_client(clock=clock.boottime)
    assert client.login is None
    clock.advance(seconds=7)
    await client.prepare()
    assert client.login == Login(False, 7.0)
    wrong = new_client(password=SecretStr("wrong"), clock=clock.boottime)
    await wrong.make_payment(VPS)
    assert wrong.login == Login(True, 7.0)


async def test_a_read_with_a_dead_session_logs_in_once_and_reads_again(
    api: LocalBilling, client: BillingClient
) -> None:
    """An expired session is replaced, once, and the caller does not notice."""
    await client.unpaid_invoices("vps")
    api.expire_sessions()
    assert (await client.unpaid_invoices("vps")).invoices
    lists = "vps_get_client_unpaid_invoices"
    assert operations(api) == ["login", lists, lists, "login", lists]


async def test_eight_reads_with_a_dead_session_log_in_once(api: LocalBilling, client: BillingClient) -> None:
    """The fresh login of one serves them all."""
    await client.unpaid_invoices("vps")
    api.expire_sessions()
    await asyncio.gather(*(client.unpaid_invoices("vps") for _ in range(8)))
    assert operations(api).count("login") == 2


async def test_a_payment_never_relies_on_an_old_proof(
    api: LocalBilling, client: BillingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the last proof is older than SESSION_PROOF_S, a login comes first, and it saves the payment."""
    await client.unpaid_invoices("vps")
    api.expire_sessions()
    monkeypatch.setattr(calls, "SESSION_PROOF_S", 0.0)
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    assert operations(api)[-2:] == ["login", "make_payment"]


async def test_a_payment_that_met_a_dead_session_is_not_repeated(
    api: LocalBilling, client: BillingClient
) -> None:
    """A fault leaves the payment unknown; the call after it has a new session."""
    await client.unpaid_invoices("vps")
    api.expire_sessions()
    assert (await client.make_payment(VPS)).verdict is Verdict.UNKNOWN
    assert api.payments_received("vps", 10101) == 1
    assert (await client.make_payment(InvoiceRef("vps", 10102))).verdict is Verdict.PAID
    assert operations(api)[-2:] == ["login", "make_payment"]


async def test_an_empty_list_is_believed_of_a_proven_session_only(
    api: LocalBilling, client: BillingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an old proof, a fresh login and one more read decide that nothing is unpaid."""
    lists = "ssl_get_client_unpaid_invoices"
    assert await client.unpaid_invoices("ssl") == UnpaidList()
    assert operations(api) == ["login", lists]
    monkeypatch.setattr(calls, "SESSION_PROOF_S", 0.0)
    assert await client.unpaid_invoices("ssl") == UnpaidList()
    assert operations(api) == ["login", lists, lists, "login", lists]


async def test_an_empty_list_proves_no_session(
    api: LocalBilling, new_client: NewClient, clock: Clock
) -> None:
    """A session that has died may give one: a payment still goes by the proof that came before it."""
    client = new_client(clock=clock.boottime)
    await client.prepare()
    clock.advance(seconds=20)
    assert await client.unpaid_invoices("ssl") == UnpaidList()
    clock.advance(seconds=11)
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    assert operations(api) == ["login", "ssl_get_client_unpaid_invoices", "login", "make_payment"]


async def test_what_is_prepared_has_half_of_its_time_left(
    api: LocalBilling, new_client: NewClient, clock: Clock
) -> None:
    """A session that would soon be too old for a payment is renewed before one comes."""
    client = new_client(clock=clock.boottime)
    await client.prepare()
    clock.advance(seconds=15)
    await client.prepare()
    assert operations(api) == ["login"]
    clock.advance(seconds=1)
    await client.prepare()
    assert operations(api) == ["login", "login"]


async def test_an_error_in_place_of_a_list_is_no_empty_list(api: LocalBilling, client: BillingClient) -> None:
    """A struct with a status, as a dead session may give, is cured by a login like a fault is."""
    await client.unpaid_invoices("vps")
    api.fail("declined", operation="api_vps_*", times=1)
    assert len((await client.unpaid_invoices("vps")).invoices) == 4
    assert operations(api).count("login") == 2
