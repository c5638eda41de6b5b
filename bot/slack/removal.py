"""Remove…: the button that takes some of several invoices out, and the form that asks which, and why.

What is left is decided on as before; what was left out can be asked for by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, State
from bot.domain.wording import shorten
from bot.payments.answers import Done
from bot.payments.authority import Person
from bot.slack.blocks import View, error_under, input_block, modal, notice, plain
from bot.slack.card import REMOVE, value_of
from bot.slack.decisions import Clicked, about, closed_unless_refused, form_unless, reason_input
from bot.slack.delivered import understanding
from bot.slack.directory import within
from bot.slack.inbound import (
    BEFORE_A_FORM,
    Body,
    Response,
    Services,
    clicker,
    entered_in,
    form_or_reply,
    submitted,
)
from bot.slack.listing import fitting
from bot.slack.text import amount, description, state_words, unescaped

REMOVE_FORM = "remove_form"
"""The callback id of the form."""

WHICH, REASON = "which", "reason"
"""Its inputs."""

_ROOM = 2_500
"""Characters of what could not be taken out."""


@dataclass(frozen=True, slots=True)
class Removals:
    """Takes out by the desk; the card and its thread show what is left."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the button and the form."""
        app.action(REMOVE)(self._ask_which)
        app.view(REMOVE_FORM)(self._remove)

    async def _ask_which(self, ack: AsyncAck, body: Body, action: Body) -> None:
        """Whether they may is checked now, and again when the form comes."""
        on = Clicked.read(action.get("value"))
        await form_or_reply(self.services, ack, body, self._form_or_reply(clicker(body), on))

    async def _form_or_reply(self, person: Person, on: Clicked) -> View | str | None:
        with within(BEFORE_A_FORM):
            refused = await self.services.desk.may_leave_out(person, on.request_id, mark=on.mark)

        def form(batch: Batch) -> View | None:
            return remove_form(batch) if batch.waiting else None

        return await form_unless(self.services, refused, on.request_id, form)

    async def _remove(self, ack: AsyncAck, body: Body, view: View) -> None:
        await submitted(self.services.gate, ack, self._removed(clicker(body), view), block=REASON)

    async def _removed(self, person: Person, view: View) -> Response:
        on, reason = Clicked.read(view.get("private_metadata")), entered_in(view, REASON)
        if not reason:
            return error_under(REASON, "Say why: those who asked, and those who approve, should know.")
        with understanding():
            chosen = view["state"]["values"][WHICH][WHICH].get("selected_options") or ()
            picked = [InvoiceRef.read(one["value"]) for one in chosen]
        if not picked:
            return error_under(WHICH, "Choose the invoices that are not to be paid.")
        answer = await self.services.desk.leave_out(person, on.request_id, picked, reason, mark=on.mark)
        if not isinstance(answer, Done):
            return await closed_unless_refused(self.services, answer)
        kept = what_was_kept(answer.batch, picked)
        return {"response_action": "update", "view": notice(kept)} if kept else {}


def what_was_kept(batch: Batch, picked: Sequence[InvoiceRef]) -> str | None:
    """What could not be taken out any more, and why; None where all of it was."""
    meant = [one for one in batch.payments if one.ref in picked]
    lines = [f"*{one.ref}*: {state_words(one.state)}" for one in meant if one.state is not State.CANCELLED]
    if not lines:
        return None
    shown = fitting(lines, _ROOM)
    more = [f"… and {len(lines) - len(shown)} more."] if len(shown) < len(lines) else []
    return "\n".join(["These could not be taken out any more; the others were.", *shown, *more])


def remove_form(batch: Batch) -> View:
    """Ask which of those that wait, and why."""
    options = []
    for one in batch.waiting:
        parts = [str(one.ref), unescaped(amount(one.invoice))]
        if one.invoice is not None and (described := description(one.invoice, 75)):
            parts.append(described)
        words = " · ".join(parts)
        options.append({"text": plain(shorten(words, 75)), "value": str(one.ref)})
    which = {
        "type": "multi_static_select",
        "placeholder": plain("Choose invoices"),
        "options": options,
    }
    blocks = [
        about(batch),
        input_block(WHICH, "Which are not to be paid?", which),
        reason_input(REASON, "Why?"),
    ]
    return modal(REMOVE_FORM, "Remove invoices", "Remove", blocks, carries=value_of(batch.request))
