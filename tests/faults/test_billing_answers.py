"""What a billing API says that proves nothing, or is meant to harm: nothing is believed that is not so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bot.domain.payment import Payment, State
from bot.sandbox.local_billing.failures import INVOICES
from bot.sandbox.local_billing.service import PAYMENT, Call
from tests.faults.billing_answers import EMPTY_LISTS, REFERRING, bomb
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.installation import Installation
from tests.faults.invariants import check_invariants
from tests.faults.people import the_payment

DEPTH = 15
"""Of the references in an answer that expands: enough to tell, and too little to harm who runs this."""

MEMORY = 50 * 1024 * 1024
"""Bytes, by which no answer may make a bot grow. The longest list here is 17 MB."""

HISTORY = range(30001, 39001)

Act = Callable[[Installation], Awaitable[list[str]]]


async def test_no_answer_makes_the_bot_believe_what_is_not_so_or_eats_its_memory(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """Each kind of answer on an installation of its own, every other on each database."""
    acts: tuple[Act, ...] = (
        _an_answer_that_expands,
        _lists_that_expand,
        _an_answer_with_references,
        _empty_lists,
        _rows_of_another_module,
    )
    wrong = await asyncio.gather(
        *(_played(installation_on, counts, DATABASES[place % 2], act) for place, act in enumerate(acts))
    )
    assert not (flaws := "\n".join(flaw for flaws in wrong for flaw in flaws)), flaws


async def test_ten_years_of_paid_invoices_keep_no_answer_in_doubt(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """A list of 18,000 rows and 17 MB; alone, because to write it keeps the local API busy."""
    patient = {"BILLING_TIMEOUT": "4"}
    wrong = await _played(installation_on, counts, "sqlite", _nine_thousand_paid_invoices, settings=patient)
    assert not wrong, "\n".join(wrong)


async def _played(
    installation_on: InstallationOn, counts: Counts, database: str, act: Act, **options: Any
) -> list[str]:
    async with installation_on(database) as installation:
        try:
            bot = await installation.start(**options)
            before = bot.peak_memory()
            wrong = await act(installation)
            await installation.rest(30)
            if (grown := bot.peak_memory() - before) > MEMORY:
                wrong.append(f"it grew by {grown >> 20} MiB")
            found = await check_invariants(installation)
            wrong += found.wrong
            counts.add(found)
        except (AssertionError, TimeoutError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
    return [f"{act.__name__} on {database}: {flaw}" for flaw in wrong]


async def _an_answer_that_expands(installation: Installation) -> list[str]:
    installation.billing.fail(bomb(DEPTH), times=1)
    await installation.asks("alice", "payments", "vps", 10101)
    return []


async def _lists_that_expand(installation: Installation) -> list[str]:
    installation.billing.fail(bomb(DEPTH, on=INVOICES), times=1)
    await installation.asks("alice", "payments", "vps", 10101)
    return []


async def _an_answer_with_references(installation: Installation) -> list[str]:
    """NuSOAP may answer so, and it is read as any other: at once, and word for word."""
    installation.billing.fail(REFERRING, times=1)
    await installation.asks("alice", "payments", "vps", 10101)
    paid = await _until(installation, lambda payment: payment.state in (State.PAID, State.UNKNOWN))
    return [] if paid.status_text == "Paid, by reference." else [f"it was read as {paid.state}"]


async def _empty_lists(installation: Installation) -> list[str]:
    """Lists without a row, after the answer was lost, prove nothing; the call is carried out later."""

    def lost(call: Call) -> None:
        if call.operation == PAYMENT:
            installation.billing.fail(EMPTY_LISTS)

    installation.billing.on_call = lost
    return await _still_unknown(installation)


async def _rows_of_another_module(installation: Installation) -> list[str]:
    """An invoice of that number, of another module, was paid; this one is deleted as its answer is lost."""
    installation.billing.mix_modules()
    installation.billing.add_invoice("domains", 10101, paid=True)

    def lost(call: Call) -> None:
        if call.operation == PAYMENT and (row := installation.billing.row("vps", 10101)):
            row["invoices_deleted"] = 1

    installation.billing.on_call = lost
    wrong = await _still_unknown(installation)
    for _ in range(20):
        await installation.types(
            "alice", "payments", "/pay resolve 1 not-paid it was deleted, nothing was charged"
        )
        if not await installation.left():
            break
        await asyncio.sleep(0.5)
    return wrong


async def _still_unknown(installation: Installation) -> list[str]:
    """Lose the answer to a payment, and find it in doubt for longer than some readings take."""
    installation.billing.fail("reset-before", times=1)
    await installation.asks("alice", "payments", "vps", 10101)
    lost = await _until(installation, lambda payment: payment.state is State.UNKNOWN)
    await asyncio.sleep(3.5)
    now = await (await installation.ledger()).payment(lost.id)
    installation.billing.on_call = None
    installation.billing.heal()
    return [] if now and now.state is State.UNKNOWN else [f"it was called {now and now.state} on no evidence"]


async def _nine_thousand_paid_invoices(installation: Installation) -> list[str]:
    """A lost answer is settled all the same, whichever way it went."""
    installation.billing.add_history("vps", HISTORY)
    for number, mode in ((10101, "reset-after"), (10102, "reset-before"), (10103, "declined")):
        installation.billing.fail(mode, times=1)
        await installation.asks("alice", "payments", "vps", number)
        received = installation.billing.payments_received
        await installation.happens(lambda: received("vps", number), "it is sent", timeout=20)  # noqa: B023
    await installation.rest(30)
    states = await (await installation.ledger()).by_state()
    right = {State.PAID: 1, State.DECLINED: 2}
    return [] if states == right else [f"they ended as {states}"]


async def _until(installation: Installation, condition: Callable[[Payment], bool]) -> Payment:
    """The newest payment, once it is so."""
    ledger = await installation.ledger()
    async with asyncio.timeout(15):
        while True:
            payment = await the_payment(ledger)
            if payment is not None and condition(payment):
                return payment
            await asyncio.sleep(0.02)
