"""The buttons by which a person settles what the bot could not find out; the form asks how they know.

The same as `/pay resolve`, by the same code of the desk, but for one thing: who clicks on a card that shows
what is unknown corrects nothing that was settled meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, Payment, State
from bot.payments.answers import is_done
from bot.payments.authority import Person
from bot.slack.blocks import View, error_under, input_block, modal, plain, section
from bot.slack.card import WAS_NOT_PAID, WAS_PAID, value_of
from bot.slack.decisions import Clicked, closed_unless_refused, form_unless, reason_input
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
    submitted,
)
from bot.slack.text import amount, mention, subject, unescaped

RESOLVE_FORM = "resolve_form"
"""The callback id of the form."""

HOW, WHICH = "how", "which"
"""Its inputs; the second only where several payments of the request are unknown."""

_PAID, _NOT_PAID = "paid", "not-paid"


@dataclass(frozen=True, slots=True)
class Resolutions:
    """Settles by the desk; the card and its thread show the outcome."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the buttons and the form."""
        app.action(WAS_PAID)(self._ask_how)
        app.action(WAS_NOT_PAID)(self._ask_how)
        app.view(RESOLVE_FORM)(self._resolve)

    async def _ask_how(self, ack: AsyncAck, body: Body, action: Body) -> None:
        """Whether they may settle it is checked now, and again when the form comes."""
        on, paid = Clicked.read(action.get("value")), action["action_id"] == WAS_PAID
        await form_or_reply(self.services, ack, body, self._form(clicker(body), on, paid=paid))

    async def _form(self, person: Person, on: Clicked, *, paid: bool) -> View | str | None:
        with within(BEFORE_A_FORM):
            refused = await self.services.desk.may_resolve(person, on.request_id, mark=on.mark, paid=paid)

        def form(batch: Batch) -> View | None:
            unknown = batch.within((State.UNKNOWN,))
            return resolve_form(unknown, paid=paid) if unknown else None

        return await form_unless(self.services, refused, on.request_id, form)

    async def _resolve(self, ack: AsyncAck, body: Body, view: View) -> None:
        resolving = self._resolved(clicker(body), view, delivery_of(body))
        await submitted(self.services.gate, ack, resolving, block=HOW)

    async def _resolved(self, person: Person, view: View, delivery: str | None) -> Response:
        note = entered_in(view, HOW)
        if not note:
            return error_under(HOW, "Say how you know: it goes into the audit trail.")
        with understanding():
            outcome, _, value = text_in(view["private_metadata"]).partition(" ")
            if outcome not in (_PAID, _NOT_PAID):
                raise ValueError("neither of the two outcomes")
            values = view["state"]["values"]
            picked = values[WHICH][WHICH]["selected_option"]["value"] if WHICH in values else None
            ref = None if picked is None else InvoiceRef.read(picked)
        on = Clicked.read(value)
        desk = self.services.desk
        settling = desk.resolve(
            person,
            on.request_id,
            mark=on.mark,
            paid=outcome == _PAID,
            note=note,
            ref=ref,
            correcting=False,
            trigger_id=delivery,
        )
        answer = await desk.once(delivery, settling, is_done)
        return await closed_unless_refused(self.services, answer)


def resolve_form(unknown: Sequence[Payment], *, paid: bool) -> View:
    """Ask how the person knows what became of it, and of which where several are unknown."""
    follows = (
        "The invoice cannot be requested again then."
        if paid
        else "The invoice may be requested and paid again then, so be sure that MyAdmin shows it as unpaid."
    )
    first, request = unknown[0], unknown[0].request
    what = f"{subject(first)} · {amount(first.invoice)}"
    pickers = []
    if request.size > 1:
        what = f"{request.number} · {len(unknown)} unknown"
        options = [
            {"text": plain(f"{one.ref} · {unescaped(amount(one.invoice))}"[:75]), "value": str(one.ref)}
            for one in unknown
        ]
        pickers.append(input_block(WHICH, "Which invoice?", {"type": "static_select", "options": options}))
    blocks = [
        section(f"*{what}*\nAsked for by {mention(request.requester)}\n{follows}"),
        *pickers,
        reason_input(HOW, "How do you know?"),
    ]
    title, carries = "It was paid" if paid else "It was not paid", _PAID if paid else _NOT_PAID
    return modal(RESOLVE_FORM, title, "Settle it", blocks, carries=f"{carries} {value_of(request)}")
