"""Approve, Deny and Withdraw, on cards and on the Home tab, and the form that asks why somebody denies.

A click is acknowledged when the ledger has committed what came of it, so none is lost. Whatever was
refused or too late is told to the clicker alone, and a card that was out of date is shown again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.batch import Batch
from bot.domain.payment import State
from bot.errors import LedgerUnavailable
from bot.payments.answers import AlreadyApproved, AlreadyDecided, Answer, Done, Outdated, is_done
from bot.payments.authority import Person
from bot.payments.desk import MAX_REASON
from bot.slack import replies
from bot.slack.blocks import Block, View, error_under, input_block, modal, notice, plain, section
from bot.slack.card import APPROVE, DENY, WITHDRAW, value_of
from bot.slack.delivered import text_in, understanding
from bot.slack.directory import within
from bot.slack.inbound import (
    BEFORE_A_FORM,
    Body,
    Response,
    Services,
    clicker,
    delivery_of,
    entered_in,
    form_or_reply,
    in_time,
    outcome_of,
    submitted,
)
from bot.slack.respond import respond_to
from bot.slack.text import cost_of, mention, subject_of

log = structlog.get_logger()

DENY_FORM = "deny_form"
"""The callback id of the form."""

REASON = "reason"
"""Its input."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clicked:
    """What a button or form is about, as its value says: `42:20260302T090000.000000 10.00 USD`.

    mark: of the request that was shown, see `PaymentRequest.mark`. price: as it was shown. Each is None where
    an older version posted the button; the price also on buttons that decide without one.
    """

    request_id: int
    mark: str | None
    price: str | None

    @classmethod
    def read(cls, value: object) -> Clicked:
        """Read the value. Raises NotUnderstood."""
        with understanding():
            which, _, price = text_in(value).partition(" ")
            request_id, _, mark = which.partition(":")
            if not _NUMBER.fullmatch(request_id):
                raise ValueError("no number of a request")
            return cls(int(request_id), mark or None, price or None)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decides by the desk; the card and its thread show the outcome."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the buttons and the form."""
        app.action(APPROVE)(self._approve)
        app.action(WITHDRAW)(self._withdraw)
        app.action(DENY)(self._ask_why)
        app.view(DENY_FORM)(self._deny)

    async def _approve(self, ack: AsyncAck, body: Body, action: Body) -> None:
        on = Clicked.read(action.get("value"))
        desk, delivery = self.services.desk, delivery_of(body)
        approving = desk.approve(clicker(body), on.request_id, mark=on.mark, seen=on.price, delivery=delivery)
        await self._decide(ack, body, desk.once(delivery, approving, is_done))

    async def _withdraw(self, ack: AsyncAck, body: Body, action: Body) -> None:
        on = Clicked.read(action.get("value"))
        withdrawing = self.services.desk.withdraw(clicker(body), on.request_id, mark=on.mark)
        await self._decide(ack, body, withdrawing)

    async def _decide(self, ack: AsyncAck, body: Body, deciding: Awaitable[Answer]) -> None:
        async with self.services.gate.entered():
            reply, late = await in_time(outcome_of(self._reply_to(deciding)), ack)
            if not late:
                await ack()
            if reply is not None:
                await respond_to(self.services.client, body, reply)

    async def _reply_to(self, deciding: Awaitable[Answer]) -> str | None:
        """What the clicker is told; None where the card and its thread tell everybody."""
        answer = await deciding
        await repair(self.services, answer)
        if isinstance(answer, Done) and answer.batch.ended_together is not State.EXPIRED:
            return None
        return replies.said(answer, self.services.workspace.url)

    async def _ask_why(self, ack: AsyncAck, body: Body, action: Body) -> None:
        """Whether they may deny is checked now, and again when the reason comes."""
        on = Clicked.read(action.get("value"))
        await form_or_reply(self.services, ack, body, self._form_or_reply(clicker(body), on))

    async def _form_or_reply(self, person: Person, on: Clicked) -> View | str | None:
        with within(BEFORE_A_FORM):
            refused = await self.services.desk.may_decide(person, on.request_id, mark=on.mark)
        return await form_unless(self.services, refused, on.request_id, deny_form)

    async def _deny(self, ack: AsyncAck, body: Body, view: View) -> None:
        await submitted(self.services.gate, ack, self._denied(clicker(body), view), block=REASON)

    async def _denied(self, person: Person, view: View) -> Response:
        on, reason = Clicked.read(view.get("private_metadata")), entered_in(view, REASON)
        if not reason:
            return error_under(REASON, "Say why: those who asked should know.")
        answer = await self.services.desk.deny(person, on.request_id, reason, mark=on.mark)
        return await closed_unless_refused(self.services, answer)


async def form_unless(
    services: Services, refused: Answer | None, request_id: int, form: Callable[[Batch], View | None]
) -> View | str | None:
    """The form about a request; or what is said to whoever was refused it. None: there is nothing to ask."""
    if refused is not None:
        await repair(services, refused)
        return replies.said(refused, services.workspace.url)
    batch = await services.ledger.of_request(request_id)
    return None if batch is None else form(batch)


async def closed_unless_refused(services: Services, answer: Answer) -> Response:
    """Close the form where it is done; otherwise say in its place why not."""
    if isinstance(answer, Done):
        return {}
    await repair(services, answer)
    told = replies.said(answer, services.workspace.url) or ""
    return {"response_action": "update", "view": notice(told)}


async def repair(services: Services, answer: Answer) -> None:
    """Show a card again that was out of date; where that cannot be written, what was decided stands."""
    if not isinstance(answer, AlreadyDecided | AlreadyApproved | Outdated):
        return
    try:
        await services.desk.repair(answer.batch.request.id)
    except LedgerUnavailable as error:
        log.warning("a card was not shown again", payment=answer.batch.number, error=str(error))


def deny_form(batch: Batch) -> View:
    """Ask for the reason."""
    title = "Deny these payments" if batch.several else "Deny this payment"
    blocks = [about(batch), reason_input(REASON, "Why?")]
    return modal(DENY_FORM, title, "Deny", blocks, carries=value_of(batch.request))


def about(batch: Batch) -> Block:
    """What a form is about, and who asked for it."""
    asked_by = f"Asked for by {mention(batch.request.requester)}"
    return section(f"*{subject_of(batch)} · {cost_of(batch)}*\n{asked_by}")


def reason_input(name: str, label: str) -> Block:
    """Asks for what is told to everybody."""
    entered = {"type": "plain_text_input", "multiline": True, "max_length": MAX_REASON}
    return input_block(name, label, entered, hint=plain("Everybody in the channel will see it."))
