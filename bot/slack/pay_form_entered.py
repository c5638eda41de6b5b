"""What was entered in the form: read from the view, and from the numbers that were typed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.batch import MOST_LINES
from bot.domain.payment import InvoiceRef
from bot.domain.schedule import PayOn
from bot.domain.typed_invoices import read_invoices, split_module
from bot.domain.typed_words import Misunderstood, parted_unseen, read_words
from bot.slack import schedule_text
from bot.slack.blocks import View
from bot.slack.delivered import identifier_in, text_in, understanding
from bot.slack.inbound import entered_in
from bot.slack.pay_form_view import CHANNEL, INVOICES, MODULES, NOTE, NUMBERS, Memory, Pick, Wanted


@dataclass(frozen=True, slots=True)
class Entered:
    """What was entered. menu: the block of the menu of invoices, None where there is none to pick from.

    wanted: what the menu will begin with that is not there yet. pay_on: the day, None for at once; or why
    that is not clear.
    """

    modules: tuple[str, ...]
    picks: tuple[Pick, ...]
    typed: str | None
    note: str | None
    channel: str | None
    menu: str | None
    wanted: Wanted
    pay_on: PayOn | str | None

    @classmethod
    def of(cls, view: View) -> Entered:
        """Read the form. Raises NotUnderstood."""
        with understanding():
            values = view["state"]["values"]
            menu = next((block for block in values if block.startswith(f"{INVOICES}:")), None)
            channel = values.get(CHANNEL, {}).get(CHANNEL, {}).get("selected_conversation")
            return cls(
                modules=tuple(InvoiceRef(one, 1).module for one in _chosen(values, MODULES, MODULES)),
                picks=tuple(map(Pick.of, _chosen(values, menu, INVOICES))) if menu else (),
                typed=entered_in(view, NUMBERS),
                note=entered_in(view, NOTE),
                channel=None if channel is None else identifier_in(channel),
                menu=menu,
                wanted=Wanted() if menu else Memory.of(view).wanted,
                pay_on=schedule_text.entered(values),
            )

    @property
    def kept(self) -> Wanted:
        """What is to be picked still when the menu is made anew: of the modules that are chosen."""
        if self.menu is None and self.wanted.due_by is not None:
            return self.wanted
        refs = self.wanted.refs if self.menu is None else tuple(one.ref for one in self.picks)
        return Wanted(tuple(ref for ref in refs if ref.module in self.modules))

    def invoices(self, known: Sequence[str]) -> tuple[InvoiceRef, ...] | Misunderstood:
        """All that was picked or typed, each once. known: the modules there are.

        A number that stands alone is of the module that is chosen, where that is one.
        """
        if parted_unseen(self.typed or ""):
            # Nobody sees two numbers there, and none is shown before it is asked for.
            return Misunderstood("Something invisible is inside a number. Type it anew.", "")
        typed = read_words(self.typed or "").words
        if typed and len(self.modules) == 1 and split_module(typed, known)[0] is None:
            typed = [*self.modules, *typed]
        read = read_invoices(typed, known) if typed else ()
        if isinstance(read, Misunderstood):
            return read
        found = tuple(dict.fromkeys([*self.kept.refs, *read]))
        if len(found) > MOST_LINES:
            return Misunderstood(
                f"These are {len(found)} invoices, and I take {MOST_LINES} at once.", "Pick fewer."
            )
        return found


def _chosen(values: Mapping[str, Any], block: str, action: str) -> tuple[str, ...]:
    return tuple(text_in(one["value"]) for one in values[block][action].get("selected_options") or ())
