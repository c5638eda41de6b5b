"""The form to ask for a payment: opened by `/pay` alone, by the shortcut or by a button, and submitted.

It opens at once and says that it reads; the invoices come in when the billing API has told them. What was
entered by then is kept, and a reading that comes after the form was changed or closed is dropped. A module
that is picked is never dropped. The form is acknowledged when the ledger has committed what came of it;
what can be mended stands under the input it belongs to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import command
from bot.domain.payment import Invoice, InvoiceRef
from bot.domain.policy import Reason, Refusal
from bot.domain.typed_words import Misunderstood
from bot.domain.wording import shorten
from bot.payments.answers import Answer, Requested
from bot.payments.authority import Person
from bot.payments.unpaid import Listing
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Block, View, context, error_under, input_block, notice, plain
from bot.slack.directory import within
from bot.slack.inbound import (
    BEFORE_A_FORM,
    Body,
    Response,
    Services,
    clicker,
    one_line,
    outcome_of,
    submitted,
)
from bot.slack.respond import open_view, respond_to, update_view
from bot.slack.text import amount, description, due

SHORTCUT = "pay_invoice"
"""The shortcut's callback id in the manifest."""

OPEN_FORM = "open_pay_form"
"""The action id of a button that opens it."""

PAY_FORM = "pay_form"
"""The form's callback id."""

MODULE, NUMBER, NOTE, CHANNEL = "module", "number", "note", "channel"
"""The inputs: block id and action id are the same. The picker's block is `invoice:` and the module, so
that what was picked is not kept when the module changes."""

INVOICE = "invoice"

_OPTIONS = 100
"""Options that a picker takes."""

_FILLED_AT_ONCE = 50
"""Forms for which invoices are read at the same time; others say that they read, and take a number."""


@dataclass(frozen=True, slots=True)
class PayForms:
    """Opens the form, fills it in, and requests by the desk what is submitted."""

    services: Services
    pool: TaskPool[str] = field(
        init=False, default_factory=lambda: TaskPool("forms", _FILLED_AT_ONCE, asyncio.Event())
    )

    def register(self, app: AsyncApp) -> None:
        """Listen for the shortcut, for another module in the form, and for the form."""
        app.shortcut(SHORTCUT)(self._shortcut)
        app.action(OPEN_FORM)(self._pressed)
        app.action(MODULE)(self._module_picked)
        app.view(PAY_FORM)(self._submitted)

    async def _shortcut(self, ack: AsyncAck, shortcut: Body) -> None:
        async with self.services.gate.entered():
            trigger_id = str(shortcut["trigger_id"])
            opening = self.open(clicker(shortcut), trigger_id, Origin(None, None))
            reply = await outcome_of(opening)
            if reply is not None:
                await open_view(self.services.client, trigger_id, notice(reply))
            await ack()

    async def _pressed(self, ack: AsyncAck, body: Body) -> None:
        """Somebody may see a channel, and press a button there, without being in it: so they pick one."""
        async with self.services.gate.entered():
            origin = Origin(None, None, suggested=(body.get("channel") or {}).get("id"))
            reply = await outcome_of(self.open(clicker(body), str(body["trigger_id"]), origin))
            await ack()
            if reply is not None:
                await respond_to(self.services.client, body, reply)

    async def open(self, person: Person, trigger_id: str, origin: Origin) -> str | None:
        """Open the form; what to tell the person where it did not open.

        Raises DirectoryError, LedgerUnavailable.
        """
        authority, ledger = self.services.authority, self.services.ledger
        with within(BEFORE_A_FORM):
            choice = await authority.choice_of(person, origin.channel, self.services.catalogue.modules)
        if isinstance(choice, Refusal):
            await self.services.desk.record_refusal(person, choice, "form")
            return replies.refused(choice)
        latest = await ledger.recent(requester=person.id, limit=1)
        usual = latest[0].first.ref.module if latest else ""
        form = PayForm(
            origin=replace(origin, suggested=choice.channel or origin.suggested),
            modules=choice.modules,
            module=usual if usual in choice.modules else choice.modules[0],
            listing=None,
            today=ledger.clock().date(),
        )
        shown = await open_view(self.services.client, trigger_id, form.view())
        if shown is None:
            return replies.NO_FORM
        self._fill(form, shown)
        return None

    async def _module_picked(self, ack: AsyncAck, body: Body, action: Body) -> None:
        await ack()
        async with self.services.gate.entered():
            shown = body["view"]
            form = PayForm(
                origin=Origin.of(shown),
                modules=modules_in(shown),
                module=str(action["selected_option"]["value"]),
                listing=None,
                today=self.services.ledger.clock().date(),
            )
            if form.module not in form.modules:
                return
            # What stands there belongs to the other module: away with it, before the new is read; also
            # where it came in after the click.
            reading = await update_view(self.services.client, shown, form.view(), unless_changed=False)
            if reading is not None:
                self._fill(form, reading)

    def _fill(self, form: PayForm, shown: View) -> None:
        key = f"{shown['id']}:{shown['hash']}"
        if self.pool.free > 0 and key not in self.pool.keys:
            self.pool.start(key, self._filled(form, shown))

    async def _filled(self, form: PayForm, shown: View) -> None:
        listing = await self.services.unpaid.of([form.module])
        filled_in = replace(form, listing=listing).view()
        await update_view(self.services.client, shown, filled_in, unless_changed=True)

    async def _submitted(self, ack: AsyncAck, body: Body, view: View) -> None:
        await submitted(self.services.gate, ack, self._requested(clicker(body), view), block=MODULE)

    async def _requested(self, person: Person, view: View) -> Response:
        entered, origin = filled(view), Origin.of(view)
        ref = self._invoice(entered)
        if not isinstance(ref, InvoiceRef):
            return ref
        channel = origin.channel or entered.channel
        if channel is None:
            return error_under(CHANNEL, "Pick the channel where the payment is asked for.")
        answer = await self.services.desk.request(
            person,
            channel,
            [ref],
            # Sent again, it is the same request; with another invoice in it, it is another.
            trigger_id=f"view:{view['id']}:{ref}",
            typed_there=origin.channel is not None,
            response_url=origin.response_url,
            note=entered.note,
        )
        if isinstance(answer, Requested):
            return {}
        return error_under(_place(answer, entered, origin), replies.in_plain_words(answer))

    def _invoice(self, entered: Filled) -> InvoiceRef | Response:
        """The invoice that was picked or typed, or what is wrong with it."""
        if entered.picked and entered.typed and entered.typed.lstrip("#") != entered.picked:
            return error_under(NUMBER, "Pick an invoice or type a number, not both.")
        number = entered.typed or entered.picked
        if number is None:
            return error_under(entered.picker or NUMBER, "Which invoice? Pick one, or type its number.")
        read = command.parse(f"{entered.module} {number}", self.services.catalogue.modules)
        if isinstance(read, command.Request) and len(read.refs) == 1:
            return read.refs[0]
        if isinstance(read, Misunderstood):
            return error_under(NUMBER, read.problem)
        return error_under(NUMBER, "This is not an invoice number.")


def _place(answer: Answer, entered: Filled, origin: Origin) -> str:
    """The input under which an answer belongs."""
    if isinstance(answer, Refusal):
        about_it = answer.reason in (Reason.CHANNEL, Reason.NOT_IN_CHANNEL)
        elsewhere = about_it and origin.channel is None
        return CHANNEL if elsewhere else MODULE
    return NUMBER if entered.typed or entered.picker is None else entered.picker


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the form was opened. channel: of the command; None for the shortcut, which knows none.

    suggested: the channel to begin with, where the person has to pick one.
    """

    channel: str | None
    response_url: str | None
    suggested: str | None = None

    def packed(self) -> str:
        """As the view's private_metadata, which only the app can write and nobody sees."""
        return json.dumps([self.channel, self.response_url, self.suggested])

    @classmethod
    def of(cls, view: View) -> Origin:
        """Read it back."""
        return cls(*json.loads(view["private_metadata"]))


@dataclass(frozen=True, slots=True)
class PayForm:
    """What the form shows. listing: the module's unpaid invoices; None while they are being read."""

    origin: Origin
    modules: Sequence[str]
    module: str
    listing: Listing | None
    today: date

    def view(self) -> View:
        """The modal."""
        modules = [{"text": plain(shorten(one, 75)), "value": one} for one in self.modules[:_OPTIONS]]
        chosen = next(one for one in modules if one["value"] == self.module)
        picker = {"type": "static_select", "options": modules, "initial_option": chosen}
        number = {"type": "plain_text_input", "max_length": 40, "placeholder": plain("12345")}
        note = {"type": "plain_text_input", "multiline": True, "max_length": command.MAX_NOTE}
        return {
            "type": "modal",
            "callback_id": PAY_FORM,
            "private_metadata": self.origin.packed(),
            "title": plain("Pay an invoice"),
            "submit": plain("Request payment"),
            "close": plain("Cancel"),
            "blocks": [
                *([] if self.origin.channel else [self._channel()]),
                input_block(MODULE, "Module", picker, dispatch_action=True),
                *self._invoices(),
                input_block(NUMBER, "Or type the invoice's number", number, optional=True),
                input_block(NOTE, "A note for those who approve", note, optional=True),
            ],
        }

    def _channel(self) -> Block:
        begin = (
            {"initial_conversation": self.origin.suggested}
            if self.origin.suggested
            else {"default_to_current_conversation": True}
        )
        only = {"include": ["public", "private"], "exclude_bot_users": True}
        return input_block(CHANNEL, "Channel", {"type": "conversations_select", "filter": only, **begin})

    def _invoices(self) -> list[Block]:
        if self.listing is None:
            return [context(f"Reading the unpaid invoices of {self.module} …")]
        if self.listing.unread:
            return [context(f"The unpaid invoices of {self.module} cannot be read now. Type the number.")]
        free = [one.invoice for one in self.listing.invoices if one.requested is None]
        taken = len(self.listing.invoices) - len(free)
        said = []
        if taken:
            said.append(f"{taken} more {'is' if taken == 1 else 'are'} requested already.")
        if len(free) > _OPTIONS:
            said.append(f"These are the {_OPTIONS} that are due first; type the number of any other.")
        if not free:
            said.insert(0, f"There is no unpaid invoice of {self.module} to pick.")
            return [context(" ".join(said))]
        picker = {
            "type": "static_select",
            "placeholder": plain("Pick one"),
            "options": [_option(one, self.today) for one in free[:_OPTIONS]],
        }
        block_id = f"{INVOICE}:{self.module}"
        blocks = [input_block(INVOICE, "Unpaid invoice", picker, block_id=block_id, optional=True)]
        return [*blocks, context(" ".join(said))] if said else blocks


def _option(invoice: Invoice, today: date) -> Block:
    when = f" · due {due(invoice.due, today)}" if invoice.due is not None else ""
    option = {
        "text": plain(shorten(f"{invoice.ref.number} · {amount(invoice)}{when}", 75)),
        "value": str(invoice.ref.number),
    }
    described = description(invoice, 75)
    return option | {"description": plain(described)} if described else option


@dataclass(frozen=True, slots=True)
class Filled:
    """What was entered. picker: the block of the picker, None where there was none to pick from."""

    module: str
    picked: str | None
    typed: str | None
    note: str | None
    channel: str | None
    picker: str | None


def filled(view: View) -> Filled:
    """Read the form."""
    values = view["state"]["values"]
    module = str(values[MODULE][MODULE]["selected_option"]["value"])
    picker = f"{INVOICE}:{module}" if f"{INVOICE}:{module}" in values else None
    picked = values[picker][INVOICE].get("selected_option") if picker else None
    return Filled(
        module=module,
        picked=str(picked["value"]) if picked else None,
        typed=one_line(values[NUMBER][NUMBER].get("value")),
        note=one_line(values[NOTE][NOTE].get("value")),
        channel=values.get(CHANNEL, {}).get(CHANNEL, {}).get("selected_conversation"),
        picker=picker,
    )


def modules_in(view: View) -> list[str]:
    """The modules that an open form offers."""
    picker = next(block for block in view["blocks"] if block["block_id"] == MODULE)
    return [str(option["value"]) for option in picker["element"]["options"]]
