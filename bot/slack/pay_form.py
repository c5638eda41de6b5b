"""Modals: to ask for a payment, to deny one, and to say something where there is no other place for it.

Pure: what to show in, views out; and what was entered, read from the view that Slack sends back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from bot.domain.command import MAX_NOTE
from bot.domain.payment import Invoice, Payment
from bot.domain.typed_words import read_words
from bot.payments.desk import MAX_REASON
from bot.payments.unpaid import Listing
from bot.slack.card import Block, context, section
from bot.slack.text import amount, day, mention, shorten, subject

PAY, DENY = "pay_form", "deny_form"
"""The callback ids."""

MODULE, NUMBER, NOTE, CHANNEL, REASON = "module", "number", "note", "channel", "reason"
"""The inputs: block id and action id are the same. The picker's block is `invoice:` and the module, so
that what was picked is not kept when the module changes."""

INVOICE = "invoice"
_OPTIONS = 100
"""Options that a picker takes."""

View = dict[str, Any]


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}


def _input(name: str, label: str, element: Block, *, block_id: str | None = None, **fields: Any) -> Block:
    return {
        "type": "input",
        "block_id": block_id or name,
        "label": _plain(label),
        "element": {"action_id": name, **element},
        **fields,
    }


# -- asking for a payment -------------------------------------------------------------------------


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
        modules = [{"text": _plain(shorten(one, 75)), "value": one} for one in self.modules[:_OPTIONS]]
        chosen = next(one for one in modules if one["value"] == self.module)
        picker = {"type": "static_select", "options": modules, "initial_option": chosen}
        number = {"type": "plain_text_input", "max_length": 40, "placeholder": _plain("12345")}
        note = {"type": "plain_text_input", "multiline": True, "max_length": MAX_NOTE}
        return {
            "type": "modal",
            "callback_id": PAY,
            "private_metadata": self.origin.packed(),
            "title": _plain("Pay an invoice"),
            "submit": _plain("Request payment"),
            "close": _plain("Cancel"),
            "blocks": [
                *([] if self.origin.channel else [self._channel()]),
                _input(MODULE, "Module", picker, dispatch_action=True),
                *self._invoices(),
                _input(NUMBER, "Or type the invoice's number", number, optional=True),
                _input(NOTE, "A note for those who approve", note, optional=True),
            ],
        }

    def _channel(self) -> Block:
        begin = (
            {"initial_conversation": self.origin.suggested}
            if self.origin.suggested
            else {"default_to_current_conversation": True}
        )
        only = {"include": ["public", "private"], "exclude_bot_users": True}
        return _input(CHANNEL, "Channel", {"type": "conversations_select", "filter": only, **begin})

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
            "placeholder": _plain("Pick one"),
            "options": [_option(one, self.today) for one in free[:_OPTIONS]],
        }
        block_id = f"{INVOICE}:{self.module}"
        blocks = [_input(INVOICE, "Unpaid invoice", picker, block_id=block_id, optional=True)]
        return [*blocks, context(" ".join(said))] if said else blocks


def _option(invoice: Invoice, today: date) -> Block:
    due = ""
    if invoice.due is not None:
        due = f" · due {day(invoice.due)}{' (overdue)' if invoice.due < today else ''}"
    option = {
        "text": _plain(shorten(f"{invoice.ref.number} · {amount(invoice)}{due}", 75)),
        "value": str(invoice.ref.number),
    }
    described = " ".join(invoice.description.split())
    return option | {"description": _plain(shorten(described, 75))} if described else option


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


def one_line(entered: str | None) -> str | None:
    """What was entered, as one line that every database takes; None for nothing."""
    return read_words(entered or "").from_word(0) or None


# -- denying one ----------------------------------------------------------------------------------


def deny_form(payment: Payment) -> View:
    """Ask for the reason."""
    reason = {"type": "plain_text_input", "multiline": True, "max_length": MAX_REASON}
    asked = f"*{subject(payment)} · {amount(payment.invoice)}*\nAsked for by {mention(payment.requester)}"
    return {
        "type": "modal",
        "callback_id": DENY,
        "private_metadata": str(payment.id),
        "title": _plain("Deny this payment"),
        "submit": _plain("Deny"),
        "close": _plain("Go back"),
        "blocks": [
            section(asked),
            _input(REASON, "Why?", reason, hint=_plain("Everybody in the channel will see it.")),
        ],
    }


def reason_of(view: View) -> str:
    """The reason that was entered."""
    return one_line(view["state"]["values"][REASON][REASON].get("value")) or ""


# -- saying something -----------------------------------------------------------------------------


def notice(text: str) -> View:
    """A form with nothing to fill in."""
    return {
        "type": "modal",
        "title": _plain("Payments"),
        "close": _plain("Close"),
        "blocks": [section(text)],
    }


def under(problem: str, remedy: str = "") -> str:
    """What is said under an input: plain text, so nothing is escaped, and mentions would stay codes."""
    return shorten(f"{problem} {remedy}".strip(), 300)
