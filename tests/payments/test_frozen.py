"""A process that was frozen between the intent and the call: it makes no second payment."""

from __future__ import annotations

from bot.domain.payment import State
from tests.fixture_types import Clock
from tests.ledger.making import attempts, stored
from tests.payments.conftest import Office, policy


async def test_who_was_frozen_for_a_lease_sends_nothing(office: Office, clock: Clock) -> None:
    """Others may have taken it over by then, so the call is not begun, and the retry starts afresh."""

    async def freeze(step: str, payment_id: int) -> None:
        if step == "intended":
            clock.advance(seconds=30)

    payment = await office.looked_up()
    office.checkpoint = freeze
    office.rules(policy())
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.NOT_SENT
    assert payment.reason == "the intent to pay is too old; others may act on it"
    assert office.billing.payments_received("vps", 10101) == 0


async def test_a_machine_that_slept_sends_nothing(office: Office, clock: Clock) -> None:
    """Although the ledger's clock was set back meanwhile, and shows a moment only."""

    async def sleep(step: str, payment_id: int) -> None:
        if step == "intended":
            clock.advance(seconds=30)
            clock.set(seconds=-30)

    office.checkpoint = sleep
    office.rules(policy())
    payment = await office.pay()
    assert payment.state is State.NOT_SENT
    assert office.billing.payments_received("vps", 10101) == 0


async def test_who_was_only_slow_pays(office: Office, clock: Clock) -> None:
    """Within the lease nobody else can have touched it."""

    async def dawdle(step: str, payment_id: int) -> None:
        if step == "intended":
            clock.advance(seconds=29)

    payment = await office.looked_up()
    office.checkpoint = dawdle
    office.rules(policy())
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_what_others_settled_and_paid_meanwhile_is_not_sent_by_who_thaws(
    office: Office, clock: Clock
) -> None:
    """Called unknown, found unpaid, asked for and paid again: the first call must never go out."""
    other = Office(office.ledger, clock, office.billing, office.client, office.register, instance="two")

    async def freeze(step: str, payment_id: int) -> None:
        if step == "intended":
            clock.advance(seconds=30)
            await other.maintenance.poll_once()
            await other.reconciler.observe()
            clock.advance(minutes=17)
            await other.reconcile()
            assert (await other.pay(trigger_id="other")).state is State.PAID

    payment = await office.looked_up()
    office.checkpoint = freeze
    office.rules(policy())
    await office.execute()
    assert (await office.now(payment)).state is State.DECLINED
    assert office.billing.payments_received("vps", 10101) == 1


async def test_not_sent_that_comes_late_leaves_the_unknown_alone(office: Office, clock: Clock) -> None:
    """Only what is known of the invoice settles it; that this process sent nothing stands in the
    trail."""

    async def freeze(step: str, payment_id: int) -> None:
        if step == "intended":
            clock.advance(seconds=30)
            await office.maintenance.poll_once()
            assert (await office.now(payment)).state is State.UNKNOWN

    payment = await office.looked_up()
    office.checkpoint = freeze
    office.rules(policy())
    await office.execute()
    assert (await office.now(payment)).state is State.UNKNOWN
    event = await office.last(payment)
    assert (event.action, stored(event)["verdict"]) == ("answered_late", "NOT_SENT")
    (attempt,) = await attempts(office.ledger, payment.id)
    assert attempt.verdict == "NOT_SENT"
