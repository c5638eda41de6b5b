"""What is submitted in a form: the reason of a denial, or a request for a payment.

A form is acknowledged when the ledger has committed what came of it. What can be mended stands under the
input it belongs to, and what was entered is kept.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.domain import command
from bot.domain.payment import InvoiceRef
from bot.domain.policy import Reason, Refusal
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments import answers
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.slack import forms, replies
from bot.slack.forms import Filled, Origin
from bot.slack.listeners.shared import Acknowledge, Body, Gate, clicker, in_time, repaired
from bot.slack.wire import Workspace

Response = dict[str, Any]
"""What ack takes: nothing closes the form."""


class Views:
    """Decides by the desk."""

    def __init__(self, desk: Desk, catalogue: Catalogue, workspace: Workspace, gate: Gate) -> None:
        self._desk = desk
        self._catalogue = catalogue
        self._workspace = workspace
        self._gate = gate

    def register(self, app: AsyncApp) -> None:
        """Listen for the forms."""
        app.view(forms.DENY)(self._denied)
        app.view(forms.PAY)(self._requested)

    # -- a denial ---------------------------------------------------------------------------------

    async def _denied(self, ack: Acknowledge, body: Body) -> None:
        await self._submitted(ack, self._deny(body), forms.REASON)

    async def _submitted(self, ack: Acknowledge, decision: Coroutine[Any, Any, Response], block: str) -> None:
        """block: where it stands what could not be done."""
        longer = {"response_action": "update", "view": forms.notice(replies.TAKES_LONGER)}
        async with self._gate.entered():
            response, late = await in_time(_tried(decision, block), lambda: ack(**longer))
            if not late:
                await ack(**response)

    async def _deny(self, body: Body) -> Response:
        view = body["view"]
        reason = forms.reason_of(view)
        if not reason:
            return _error(forms.REASON, "Say why: those who asked should know.")
        answer = await self._desk.deny(clicker(body), int(view["private_metadata"]), reason)
        if isinstance(answer, answers.Done):
            return {}
        if isinstance(answer, answers.AlreadyDecided):
            await repaired(self._desk, answer.payment.id)
        said = replies.said(answer, self._workspace.url) or ""
        return {"response_action": "update", "view": forms.notice(said)}

    # -- a request --------------------------------------------------------------------------------

    async def _requested(self, ack: Acknowledge, body: Body) -> None:
        await self._submitted(ack, self._request(body), forms.MODULE)

    async def _request(self, body: Body) -> Response:
        view = body["view"]
        entered, origin = forms.filled(view), Origin.of(view)
        ref = self._invoice(entered)
        if not isinstance(ref, InvoiceRef):
            return ref
        channel = origin.channel or entered.channel
        if channel is None:
            return _error(forms.CHANNEL, "Pick the channel where the payment is asked for.")
        answer = await self._desk.request(
            clicker(body),
            channel,
            ref,
            # Sent again, it is the same request; with another invoice in it, it is another.
            trigger_id=f"view:{view['id']}:{ref}",
            typed_there=origin.channel is not None,
            response_url=origin.response_url,
            note=entered.note,
        )
        if isinstance(answer, answers.Requested):
            return {}
        return _error(_place(answer, entered, origin), replies.in_plain_words(answer))

    def _invoice(self, entered: Filled) -> InvoiceRef | Response:
        """The invoice that was picked or typed, or what is wrong with it."""
        if entered.picked and entered.typed and entered.typed.lstrip("#") != entered.picked:
            return _error(forms.NUMBER, "Pick an invoice or type a number, not both.")
        number = entered.typed or entered.picked
        if number is None:
            return _error(entered.picker or forms.NUMBER, "Which invoice? Pick one, or type its number.")
        read = command.parse(f"{entered.module} {number}", self._catalogue.modules)
        if isinstance(read, command.Request):
            return read.ref
        if isinstance(read, command.Misunderstood):
            return _error(forms.NUMBER, read.problem)
        return _error(forms.NUMBER, "This is not an invoice number.")


def _place(answer: answers.Answer, entered: Filled, origin: Origin) -> str:
    """The input under which an answer belongs."""
    if isinstance(answer, Refusal):
        about_it = answer.reason in (Reason.CHANNEL, Reason.NOT_IN_CHANNEL)
        elsewhere = about_it and origin.channel is None
        return forms.CHANNEL if elsewhere else forms.MODULE
    return forms.NUMBER if entered.typed or entered.picker is None else entered.picker


async def _tried(decision: Coroutine[Any, Any, Response], block: str) -> Response:
    try:
        return await decision
    except DirectoryError:
        return _error(block, replies.SLACK_SILENT)
    except LedgerUnavailable as error:
        return _error(block, replies.unavailable(error))


def _error(block: str, text: str) -> Response:
    return {"response_action": "errors", "errors": {block: forms.under(text.replace("\n", " "))}}
