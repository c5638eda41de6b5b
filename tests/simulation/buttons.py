"""What people do by the buttons of their Home tab, and of a card that shows what is unknown."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from bot.domain.payment import InvoiceRef, State
from bot.sandbox.local_slack.actor import Actor
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack.blocks import plain
from bot.slack.card import APPROVE, WAS_NOT_PAID, WAS_PAID
from bot.slack.resolutions import HOW, RESOLVE_FORM, WHICH
from bot.slack.selection import APPROVE_FORM, APPROVE_SELECTED, SELECT
from tests.simulation import sight
from tests.simulation.drawing import PEOPLE
from tests.simulation.installation import CHANNELS, Acts, Installation
from tests.simulation.people import People
from tests.slack.acting import text

_TAB_S = 20.0
"""Seconds that somebody waits for their Home tab, or for a form."""

_UNKNOWN_S = 60.0
"""Seconds that somebody waits for an answer to be lost."""

_TICKED_S = 3.0
"""Seconds between a box that is ticked and the next."""


class Buttons:
    """Presses them."""

    def __init__(self, installation: Installation, people: People) -> None:
        self._installation = installation
        self._people = people
        self._slack = installation.slack
        self.acts: Acts = {"opens the Home tab": self._opens_home, "asks and settles": self._settles}

    async def _opens_home(self, person: str, boxes: int, which: float, after: float) -> None:
        """Look at it, and approve what is on it. boxes: so many at once; for one, by its own button."""
        actor = self._slack.person(person)
        with suppress(AssertionError, NotThere):
            await actor.opens_home()
            await self._installation.happens(lambda: self._slack.home(person), "a Home tab", _TAB_S)
            tab = self._slack.home(person)
            await asyncio.sleep(after)
            if boxes == 1 and tab is not None:
                await self._approve(actor, tab, which)
            elif boxes > 1:
                await self._select(actor, which, boxes)
                await self._approve_selected(actor, after)

    async def _approve(self, actor: Actor, tab: View, which: float) -> None:
        """Press Approve beside one of the requests, as it stood there."""
        pressed = [
            element["value"]
            for block in tab.blocks
            for element in block.get("elements", ())
            if element.get("action_id") == APPROVE
        ]
        if pressed:
            self._sees(actor, tab)
            await actor.clicks(tab, APPROVE, pressed[int(which * len(pressed))])

    async def _select(self, actor: Actor, which: float, boxes: int) -> None:
        """Tick so many boxes, from one on; each changes the tab."""
        for place in range(boxes):
            tab = self._slack.home(actor.name)
            rows = [] if tab is None else [one for one in tab.blocks if _is_box(one)]
            if tab is None or not rows:
                return
            row = rows[(int(which * len(rows)) + place) % len(rows)]
            value = row["accessory"]["options"][0]["value"]
            await actor.clicks(tab, SELECT, [value], row["block_id"])
            await asyncio.sleep(_TICKED_S)

    async def _approve_selected(self, actor: Actor, after: float) -> None:
        """Press the button below them; look at the question for a while, and say yes."""
        if (tab := self._slack.home(actor.name)) is None:
            return
        await actor.clicks(tab, APPROVE_SELECTED)
        question = await self._view(actor, APPROVE_FORM)
        self._sees(actor, question)
        await asyncio.sleep(after)
        await actor.submits(question, {})

    def _sees(self, actor: Actor, view: View) -> None:
        self._installation.past.shown.update((actor.id, *seen) for seen in sight.of_view(view))

    async def _view(self, actor: Actor, callback_id: str) -> View:
        """The form that opens. Raises AssertionError where none does."""

        def open_now() -> list[View]:
            return [one for one in self._slack.views(actor.name) if one.callback_id == callback_id]

        await self._installation.happens(open_now, "a form", _TAB_S)
        return open_now()[-1]

    async def _settles(
        self, person: str, channel: str, module: str, number: int, paid: bool, later: float, which: float
    ) -> None:
        """Ask for one whose answer is lost; the others approve it, and one of them says what became of it.

        paid: whether it was carried out. later: seconds after which they look.
        """
        self._installation.billing.fail("reset-after" if paid else "reset-before", times=1)
        await self._people.ask(person, channel, module, number, False)
        await asyncio.sleep(_TICKED_S)
        await self._people.others_approve(person, channel, module, number)
        with suppress(AssertionError):
            await self._installation.happens(
                lambda: self._unknown(module, number), "it is unknown", _UNKNOWN_S, every=1.0
            )
        await asyncio.sleep(later)
        if found := self._unknown(module, number):
            ts, invoices = found[0]
            cards = [one for place in CHANNELS for one in self._slack.messages(place) if one.ts == ts]
            others = [one for one in PEOPLE if one != person]
            for card in cards:
                other = others[int(which * len(others))]
                await self._says(other, card, InvoiceRef(module, number), several=invoices > 1)

    def _unknown(self, module: str, number: int) -> list[tuple[Any, ...]]:
        """The ts of its card, and how many invoices that is of."""
        return self._installation.rows(
            "SELECT card_ts, invoices FROM payments JOIN requests ON requests.id = request_id"
            " WHERE module = ? AND number = ? AND state = ? AND card_ts IS NOT NULL",
            module,
            number,
            State.UNKNOWN,
        )

    async def _says(self, person: str, card: Message, ref: InvoiceRef, *, several: bool) -> None:
        row = self._installation.billing.row(ref.module, ref.number)
        paid = bool(row and row["invoices_paid"])
        entered: Any = text(HOW, "seen in MyAdmin")
        if several:
            option = {"text": plain(str(ref)), "value": str(ref)}
            entered |= {WHICH: {WHICH: {"type": "static_select", "selected_option": option}}}
        actor = self._slack.person(person)
        # It may be settled by now, or it may be too early to say so.
        with suppress(AssertionError, NotThere):
            await actor.clicks(card, WAS_PAID if paid else WAS_NOT_PAID)
            form = await self._view(actor, RESOLVE_FORM)
            await actor.submits(form, entered)


def _is_box(block: dict[str, Any]) -> bool:
    return bool(block.get("accessory", {}).get("action_id") == SELECT)
