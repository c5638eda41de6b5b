"""What the form shows. Pure.

An invoice that is picked carries its amount in the option's value, so that what is picked can be added up
without anything being read again, also after a restart. Slack keeps what was entered in a block whose id
stays; so the menu of invoices gets another id where the bot says anew what is picked.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from bot.domain import command
from bot.domain.batch import MOST_LINES
from bot.domain.payment import Invoice, InvoiceRef
from bot.domain.wording import shorten
from bot.payments.unpaid import Listing
from bot.slack import schedule_text
from bot.slack.blocks import Block, View, button, context, input_block, modal, plain, section
from bot.slack.delivered import identifier_in, text_in, understanding
from bot.slack.text import added_up, amount, description, due, totals, unescaped

PAY_FORM = "pay_form"
"""The form's callback id."""

MODULES, INVOICES, NUMBERS, NOTE, CHANNEL = "modules", "invoice", "numbers", "note", "channel"
"""The inputs: block id and action id are the same, but the block of the menu has a number behind it."""

TOTAL = "total"
"""The block that says what is picked."""

OVERDUE, DUE_SOON = "pick_overdue", "pick_due_soon"
"""The buttons that pick what is due."""

SOON = timedelta(days=7)

OPTIONS = 100
"""Options that a menu takes; what there is beyond is found by typing."""

_OPTION_TEXT, _OPTION_VALUE = 75, 150
_CHANGES = 10
"""Invoices that are named one by one whose amount changed, or cannot be read."""
_NAMED = 3
"""Modules that are named one by one."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the form was opened. channel: of the command; None for the shortcut, which knows none.

    suggested: the channel to begin with, where the person has to pick one. at: when, in seconds since 1970.
    """

    channel: str | None
    response_url: str | None
    suggested: str | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be picked once the lists are read: these, or what is due by then."""

    refs: tuple[InvoiceRef, ...] = ()
    due_by: date | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What travels with the form as its private_metadata, which only the app can write and nobody sees.

    serial: the number of the menu of invoices. wanted: what it will begin with, while it is not there.
    listed: the modules whose invoices it shows, whatever is chosen by now.
    """

    origin: Origin
    serial: int = 0
    wanted: Wanted = Wanted()
    listed: tuple[str, ...] = ()

    def packed(self, offered: Sequence[str] = ()) -> str:
        """As text: Slack takes 3,000 characters. offered: modules that are told by their place there."""
        places = {module: str(place) for place, module in enumerate(offered)}
        by_module: dict[str, list[int]] = {}
        for ref in self.wanted.refs:
            by_module.setdefault(places.get(ref.module, ref.module), []).append(ref.number)
        due_by = self.wanted.due_by.isoformat() if self.wanted.due_by else None
        origin = [self.origin.channel, self.origin.response_url, self.origin.suggested, self.origin.at]
        listed = [places.get(one, one) for one in self.listed]
        return json.dumps([origin, self.serial, by_module, due_by, listed], separators=(",", ":"))

    @classmethod
    def of(cls, view: View) -> Memory:
        """Read it back. Raises NotUnderstood."""
        with understanding():
            origin, serial, by_module, due_by, listed = json.loads(view["private_metadata"])
            channel, url, suggested, *at = origin
            where = Origin(
                channel=None if channel is None else identifier_in(channel),
                response_url=None if url is None else text_in(url),
                suggested=None if suggested is None else identifier_in(suggested),
                at=operator.index(at[0]) if at else 0,
            )
            offered = modules_offered(view) if "blocks" in view else ()
            named = {str(place): one for place, one in enumerate(offered)}
            refs = tuple(
                InvoiceRef(named.get(told, told), one) for told, those in by_module.items() for one in those
            )
            wanted = Wanted(refs, date.fromisoformat(due_by) if due_by else None)
            modules = tuple(InvoiceRef(named.get(told, told), 1).module for told in listed)
            return cls(where, operator.index(serial), wanted, modules)


@dataclass(frozen=True, slots=True)
class Pick:
    """An invoice that is picked. cost: amount and currency as they were listed; None: not known."""

    ref: InvoiceRef
    cost: tuple[Decimal, str] | None

    @classmethod
    def of(cls, value: str) -> Pick:
        """Read an option's value. Raises NotUnderstood."""
        with understanding():
            module, number, *cost = value.split(" ", 3)
            known = (Decimal(cost[0]), text_in(cost[1])) if len(cost) == 2 else None
            if known is not None and not known[0].is_finite():
                raise ValueError("no amount")
            return cls(InvoiceRef(module, int(number)), known)


@dataclass(frozen=True, slots=True)
class PayForm:
    """The form. listing: the unpaid invoices of the modules that are chosen; None while they are being read.

    modules: that are offered. opened_with: those of them that were chosen in the beginning; they stay in the
    definition, as a menu that is defined anew closes while somebody picks in it.
    requests: how many there will be, None where that is not known. changed: what was picked at other amounts.
    """

    memory: Memory
    modules: Sequence[str]
    opened_with: tuple[str, ...]
    chosen: tuple[str, ...]
    listing: Listing | None
    today: date
    requests: int | None = None
    changed: Sequence[Pick] = ()

    def view(self) -> View:
        """The modal."""
        # What was to be picked is in the menu once that is there.
        wanted = self.memory.wanted if self.listing is None else Wanted()
        return framed(
            replace(self.memory, wanted=wanted, listed=self.chosen),
            [
                *([] if self.memory.origin.channel else [self._channel()]),
                self._modules(),
                *self._invoices(),
                self._numbers(),
                *schedule_text.inputs(),
                input_block(NOTE, "A note for those who approve", _NOTE, optional=True),
            ],
        )

    @property
    def free(self) -> list[Invoice]:
        """What can be picked, the longest due first."""
        found = self.listing.invoices if self.listing else ()
        return [one.invoice for one in found if one.requested is None]

    def picked(self) -> list[Block]:
        """The options that the menu begins with: of what cannot be read, as it was picked before."""
        wanted = self.memory.wanted
        if wanted.due_by is not None:
            found = due_by(self.free, wanted.due_by)
            return [option(one, self.today) for one in found[:MOST_LINES]]
        by_ref = {one.ref: one for one in self.free}
        return [
            option(by_ref[ref], self.today) if ref in by_ref else _unread_option(ref)
            for ref in wanted.refs
            if ref in by_ref or (self.listing is not None and self.listing.tells_nothing_of(ref))
        ]

    def _channel(self) -> Block:
        suggested = self.memory.origin.suggested
        begin = (
            {"initial_conversation": suggested} if suggested else {"default_to_current_conversation": True}
        )
        only = {"include": ["public", "private"], "exclude_bot_users": True}
        return input_block(CHANNEL, "Channel", {"type": "conversations_select", "filter": only, **begin})

    def _modules(self) -> Block:
        options = [{"text": plain(shorten(one, 75)), "value": one} for one in self.modules[:OPTIONS]]
        chosen = [one for one in options if one["value"] in self.opened_with]
        menu = {"type": "multi_static_select", "placeholder": plain("Pick one or more"), "options": options}
        menu |= {"initial_options": chosen} if chosen else {}
        return input_block(MODULES, "Modules", menu, dispatch_action=True)

    def _invoices(self) -> list[Block]:
        if not self.chosen:
            return [context("Pick a module to see its unpaid invoices.")]
        if self.listing is None:
            return [context(f"Reading the unpaid invoices of {_named(self.chosen)} …")]
        picked = self.picked()
        said = self._said()
        if not self.free and not picked:
            return [context(said)]
        menu = {
            "type": "multi_external_select",
            "placeholder": plain("Pick, or type to search"),
            "max_selected_items": MOST_LINES,
        }
        listed = [option(one, self.today) for one in self.free]
        options = [*listed, *(one for one in picked if one not in listed)]
        if len(options) <= OPTIONS:
            menu |= {"type": "multi_static_select", "options": options}
        else:
            menu["min_query_length"] = 0
        if picked:
            menu["initial_options"] = picked
        label = "Unpaid invoices: pick here, or type below"
        block_id = f"{INVOICES}:{self.memory.serial}"
        return [
            *self._presets(),
            *self._changed(),
            # Above the menu, which grows with what is picked.
            total([Pick.of(str(one["value"])) for one in picked], self.requests),
            input_block(INVOICES, label, menu, block_id=block_id, optional=True, dispatch_action=True),
            context(said),
        ]

    def _presets(self) -> list[Block]:
        overdue = len(due_by(self.free, self.today - timedelta(days=1)))
        soon = len(due_by(self.free, self.today + SOON))
        buttons = []
        if overdue:
            buttons.append(button(OVERDUE, f"All overdue ({overdue:,})", "overdue"))
        if soon > overdue:
            buttons.append(button(DUE_SOON, f"All due within {SOON.days} days ({soon:,})", "soon"))
        return [{"type": "actions", "block_id": "presets", "elements": buttons}] if buttons else []

    def _changed(self) -> list[Block]:
        """What costs something else now than when it was picked."""
        if not self.changed:
            return []
        now = {one.ref: one for one in self.free}
        told = []
        for one in self.changed[:_CHANGES]:
            costs = f"is {amount(now[one.ref])} now" if one.ref in now else "cannot be read now"
            told.append(f"`{one.ref}` {costs}; you picked {added_up([one.cost])}.")
        if len(self.changed) > _CHANGES:
            told.append(f"… and {len(self.changed) - _CHANGES} more.")
        heading = "*Amounts are not what you picked. Nothing is requested yet.*"
        return [section("\n".join([heading, *told, "Look at the new total, and request again."]))]

    def _said(self) -> str:
        """What there is to pick from, and what is not in it."""
        assert self.listing is not None, "bug: nothing was read"
        free, told = self.free, []
        read = [one for one in self.chosen if one not in self.listing.unread]
        if free:
            count = "1 unpaid invoice" if len(free) == 1 else f"{len(free):,} unpaid invoices"
            told.append(f"{count} · {totals(free)}{'; type to find them' if len(free) > OPTIONS else ''}.")
        elif read:
            told.append(f"There is no unpaid invoice of {_named(read, 'or')} to pick.")
        if taken := len(self.listing.invoices) - len(free):
            told.append(f"{taken:,} more {'is' if taken == 1 else 'are'} requested already.")
        if (
            self.memory.wanted.due_by is not None
            and len(due_by(free, self.memory.wanted.due_by)) > MOST_LINES
        ):
            told.append(f"The first {MOST_LINES} due are picked: so many can be asked for at once.")
        if unclear := [str(one) for one in self.listing.unclear]:
            named = ", ".join(unclear[:_CHANGES])
            told.append(f"The amount of {len(unclear):,} more cannot be read: {named}.")
        if self.listing.unread:
            names = _named(self.listing.unread)
            told.append(f"The unpaid invoices of {names} cannot be read now. Type their numbers.")
        return " ".join(told)

    def _numbers(self) -> Block:
        listed = self.listing is not None and bool(self.free or self.picked())
        needed = self.listing is not None and not listed
        one = "12345 12346" if len(self.chosen) == 1 else "vps 12345 12346, mail 678"
        field = {"type": "plain_text_input", "max_length": command.MAX_TEXT, "placeholder": plain(one)}
        return input_block(
            NUMBERS,
            "Invoice numbers" if needed else "Or type invoice numbers",
            field,
            optional=not needed,
            hint=plain(
                "At least one, or several." if needed else "Pick or type at least one invoice; both is fine."
            ),
        )


_NOTE = {"type": "plain_text_input", "multiline": True, "max_length": command.MAX_NOTE}


def framed(memory: Memory, blocks: list[Block]) -> View:
    """The view of these blocks."""
    carries = memory.packed(modules_offered({"blocks": blocks}))
    return modal(PAY_FORM, "Pay invoices", "Request payment", blocks, carries=carries, close="Cancel")


def with_total(shown: View, picks: Sequence[Pick], requests: int | None) -> View:
    """An open form as it is, but for what is said of the picks."""
    blocks = [
        total(picks, requests) if one.get("block_id") == TOTAL else _as_sent(one) for one in shown["blocks"]
    ]
    return framed(Memory.of(shown), blocks)


def total(picks: Sequence[Pick], requests: int | None) -> Block:
    """What is picked, and what it adds up to."""
    if not picks:
        return section("Nothing is picked yet.") | {"block_id": TOTAL}
    count = "1 payment" if len(picks) == 1 else f"{len(picks)} payments"
    rules = f"; {requests} requests, one a rule" if requests is not None and requests > 1 else ""
    return section(f"*{count} · {added_up(one.cost for one in picks)}*{rules}") | {"block_id": TOTAL}


def due_by(invoices: Iterable[Invoice], day: date) -> list[Invoice]:
    """Those that are due by that day."""
    return [one for one in invoices if one.due is not None and one.due <= day]


def option(invoice: Invoice, today: date) -> Block:
    """An invoice to pick."""
    when = f" · due {due(invoice.due, today)}" if invoice.due is not None else ""
    value = f"{invoice.ref} {invoice.amount:f} {invoice.currency}"
    chosen = {
        "text": plain(shorten(f"{invoice.ref} · {unescaped(amount(invoice))}{when}", _OPTION_TEXT)),
        "value": value if len(value) <= _OPTION_VALUE else str(invoice.ref),
    }
    described = description(invoice, _OPTION_TEXT)
    return chosen | {"description": plain(described)} if described else chosen


def found_for(typed: str, invoices: Iterable[Invoice], today: date) -> list[Block]:
    """The first options in which all of the words stand that were typed."""
    words = typed.lower().split()
    options = (option(one, today) for one in invoices)
    fits = [
        one
        for one in options
        if all(
            word in f"{one['text']['text']} {one.get('description', {}).get('text', '')}".lower()
            for word in words
        )
    ]
    return fits[:OPTIONS]


def modules_offered(view: View) -> list[str]:
    """The modules that an open form offers. Raises ValueError for what is none."""
    return [InvoiceRef(one["value"], 1).module for one in _modules_menu(view)["options"]]


def opened_with(view: View) -> tuple[str, ...]:
    """The modules that were chosen in an open form in the beginning."""
    return tuple(str(one["value"]) for one in _modules_menu(view).get("initial_options", ()))


def _modules_menu(view: View) -> Block:
    menu: Block = next(block for block in view["blocks"] if block["block_id"] == MODULES)["element"]
    return menu


def _unread_option(ref: InvoiceRef) -> Block:
    return {"text": plain(shorten(f"{ref} · amount unknown", _OPTION_TEXT)), "value": str(ref)}


def _named(modules: Sequence[str], conjunction: str = "and") -> str:
    """Modules in words; many are counted."""
    named = list(modules)
    if len(named) > _NAMED:
        named[_NAMED - 1 :] = [f"{len(named) - _NAMED + 1} more modules"]
    *most, last = named
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _as_sent(node: Any) -> Any:
    """A block as the app gave it: Slack escapes some texts in what it sends back."""
    if isinstance(node, list):
        return [_as_sent(one) for one in node]
    if not isinstance(node, dict):
        return node
    sent = {name: _as_sent(one) for name, one in node.items()}
    if sent.get("type") == "plain_text":
        sent["text"] = unescaped(sent["text"])
    return sent
