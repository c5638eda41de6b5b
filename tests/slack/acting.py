"""Shorthands for what people do in the local Slack, and for what they then see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot import app
from bot.domain.payment import InvoiceRef, State
from bot.payments.answers import Requested
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.service import PAYMENT, Call
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.forms import Values
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import Message, visible_texts
from bot.sandbox.local_slack.views import View
from bot.slack.card import APPROVE, DENY, WITHDRAW
from tests.fixture_types import QUICK
from tests.ledger.making import stored

ANSWER = "Payment of 10.00 USD for Invoice 10101 Successful."
"""What the billing API says to the payment of `vps 10101`."""

VAIN = replace(QUICK, deliver_for=timedelta(seconds=0.5), search_for=timedelta(seconds=0.3))
"""What is given up after days in earnest."""


async def request(slack: LocalSlack, bot: app.Bot, text: str = "vps 10101", by: str = "alice") -> Message:
    """Type /pay in #payments, and return the card."""
    result = await slack.person(by).types("#payments", f"/pay {text}")
    assert result.ok, result
    await at_rest(bot)
    return card(slack)


THREE = [InvoiceRef("vps", number) for number in (10101, 10102, 10103)]
"""Unpaid at the start: 10.00, 49.99 and 120.00 USD."""


def invoices(billing: LocalBilling, count: int) -> list[InvoiceRef]:
    """So many more unpaid invoices, of three modules in turn, of 1.00 USD and more."""
    found = []
    for number in range(1, count + 1):
        module = ("vps", "domains", "mail")[number % 3]
        billing.add_invoice(module, 50_000 + number, description=f"Server {number}", amount=float(number))
        found.append(InvoiceRef(module, 50_000 + number))
    return found


def costs_by_now(bot: app.Bot, billing: LocalBilling, amount: float) -> None:
    """vps 10101 costs something else from now on, and no reading serves that says what it cost before."""
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_amount"] = amount
    forget_readings(bot)


def forget_readings(bot: app.Bot) -> None:
    """The next who look at the unpaid invoices read them anew."""
    bot.services.unpaid._readings._kept.clear()


async def request_several(
    slack: LocalSlack, bot: app.Bot, refs: Sequence[InvoiceRef] = THREE, note: str | None = None
) -> Message:
    """Alice asks in #payments for invoices by one request; its card."""
    alice = Person(ids.ALICE, bot.services.workspace.team)
    answer = await bot.services.desk.request(
        alice, ids.PAYMENTS, refs, trigger_id=f"several.{refs[0]}", typed_there=True, note=note
    )
    assert isinstance(answer, Requested), answer
    assert await bot.rest(60)
    return card(slack)


async def states_of(bot: app.Bot, request_id: int = 1) -> list[State]:
    """How the payments of a request stand, in the order of its lines."""
    batch = await bot.ledger.of_request(request_id)
    assert batch is not None
    return [one.state for one in batch.payments]


def chosen(name: str, *refs: InvoiceRef) -> Values:
    """What was picked in a menu of several."""
    options = [{"text": {"type": "plain_text", "text": str(one)}, "value": str(one)} for one in refs]
    return {name: {name: {"type": "multi_static_select", "selected_options": options}}}


async def at_rest(bot: app.Bot) -> None:
    """Wait until only people or time can change anything."""
    assert await bot.rest(30)


def card(slack: LocalSlack, channel: str = "#payments") -> Message:
    """The newest card of a channel."""
    return next(one for one in reversed(slack.messages(channel)) if one.metadata)


async def approve(slack: LocalSlack, target: Message | View, by: str, value: str | None = None) -> Result:
    """Press Approve, and yes in the question that follows."""
    return await slack.person(by).clicks(target, APPROVE, value)


async def press_deny(slack: LocalSlack, target: Message | View, by: str) -> Result:
    """Press Deny; a form opens."""
    return await slack.person(by).clicks(target, DENY)


async def withdraw(slack: LocalSlack, target: Message, by: str) -> Result:
    """Press Withdraw, and yes in the question that follows."""
    return await slack.person(by).clicks(target, WITHDRAW)


async def deny(slack: LocalSlack, target: Message | View, by: str, reason: str) -> Result:
    """Press Deny, and give the reason."""
    assert (await press_deny(slack, target, by)).ok
    view = await slack.wait_for(lambda: slack.views(by))
    return await slack.person(by).submits(view[-1], text("reason", reason))


def text(name: str, value: str) -> Values:
    """What was typed into a text input."""
    return {name: {name: {"type": "plain_text_input", "value": value}}}


def thread(slack: LocalSlack, channel: str = "#payments") -> list[str]:
    """What stands under the newest card, as notifications read it."""
    return [reply.text for reply in card(slack, channel).thread]


def shown(message: Message | View) -> str:
    """All that can be read in it."""
    return "\n".join(message.texts())


async def told(slack: LocalSlack, person: str) -> str:
    """What the newest ephemeral message for one person shows, when there is one."""
    newest = (await slack.wait_for(lambda: slack.ephemerals(person)))[-1]
    return "\n".join(visible_texts(newest.blocks)) or newest.text


async def refusals(bot: app.Bot, payment_id: int = 1) -> list[dict[str, Any]]:
    """The refused attempts on a payment in the audit trail, with who tried."""
    events = await bot.ledger.history(payment_id)
    return [stored(one) | {"actor": one.actor} for one in events if one.action == "refused"]


async def pay(slack: LocalSlack, text: str = "vps 10101", channel: str = "#payments") -> None:
    """Alice types /pay, and it is acknowledged."""
    result = await slack.person("alice").types(channel, f"/pay {text}")
    assert result.ok, result


def direct(slack: LocalSlack) -> list[str]:
    """All that Alice was told in direct messages."""
    return [shown(message) for message in slack.direct_messages("alice")]


def posts(slack: LocalSlack, method: str = "chat.postMessage") -> list[str | None]:
    """What became of each call, the oldest first: Slack's word for why not, None where it worked."""
    return [call.error for call in slack.calls if call.method == method]


def when_paying(billing: LocalBilling, action: Callable[[], object]) -> None:
    """Do something at the moment when the payment arrives at the billing API."""

    def called(call: Call) -> None:
        if call.operation == PAYMENT:
            action()

    billing.on_call = called


async def state_of(bot: app.Bot, payment_id: int = 1) -> State:
    """How a payment stands."""
    payment = await bot.ledger.payment(payment_id)
    assert payment is not None
    return payment.state


async def asks(slack: LocalSlack, text: str, by: str = "alice") -> str:
    """Type a command that is answered to one person alone, and return the answer."""
    before = len(slack.ephemerals(by))
    public = len(slack.messages("#payments"))
    result = await slack.person(by).types("#payments", f"/pay {text}")
    assert result.ok, result
    await slack.wait_for(lambda: len(slack.ephemerals(by)) > before)
    assert len(slack.messages("#payments")) == public
    return await told(slack, by)
