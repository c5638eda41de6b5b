"""What changes in a form that is open: its invoices come in, and what is picked is added up.

Changes of one form are made one after the other, and the newest click wins. What was read is dropped where
the form shows something else by then; a sum never replaces anything but a sum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import structlog
from slack_bolt.async_app import AsyncAck

from bot.domain.policy import Rule
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.authority import Person
from bot.payments.unpaid import Listing
from bot.payments.worker import TaskPool
from bot.slack.blocks import View
from bot.slack.delivered import understanding
from bot.slack.directory import within
from bot.slack.inbound import BEFORE_A_FORM, Body, Services, clicker
from bot.slack.pay_form_entered import Entered
from bot.slack.pay_form_view import Memory, PayForm, Pick, found_for, with_total
from bot.slack.respond import update_view

log = structlog.get_logger()

_FILLED_AT_ONCE = 50
"""Forms for which invoices are read at the same time; others say that they read, and take numbers."""

_SUGGEST_TIMEOUT_S = 2.0
"""Seconds for a menu's options to be read: Slack waits for three, and shows none then."""

_REMEMBERED = 1000
"""Open forms whose last change is remembered."""


@dataclass(slots=True)
class _OpenForm:
    """A form that was changed. newest: when it was clicked in last.

    hashes: of what it showed since a sum in it was changed first; now: the last of them.
    """

    newest: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    hashes: set[str] = field(default_factory=set)
    now: str = ""


@dataclass(slots=True)
class Filling:
    """Changes open forms."""

    services: Services
    pool: TaskPool[str] = field(init=False)
    _forms: dict[str, _OpenForm] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.pool = TaskPool("forms", _FILLED_AT_ONCE, asyncio.Event())

    def begin(self, person: Person, form: PayForm, shown: View) -> None:
        """Read what the form is to show, and show it where nothing was changed meanwhile."""
        key = f"{shown['id']}:{shown['hash']}"
        if self.pool.free > 0 and key not in self.pool.keys:
            self.pool.start(key, self._fill(person, form, shown))

    async def remake(self, person: Person, form: PayForm, body: Body) -> None:
        """Show the form by what was read a short while ago, or say that it reads, and begin."""
        shown = body["view"]
        opened, at = self._opened(shown), _time_of(body)
        if at < opened.newest:
            return
        opened.newest = at
        async with opened.turn:
            if at < opened.newest:
                return
            listing = await self._recent(form.chosen) if form.chosen else None
            if listing is not None:
                form = await self.filled(person, form, listing, Entered.of(shown).channel)
            # What stands there belongs to the click before: away with it, also where it came in after.
            changed = await update_view(self.services.client, shown, form.view(), unless_changed=False)
        if changed is not None and form.chosen and form.listing is None:
            self.begin(person, form, changed)

    async def picked(self, ack: AsyncAck, body: Body) -> None:
        """Add up what is picked now."""
        await ack()
        async with self.services.gate.entered():
            shown, person = body["view"], clicker(body)
            opened, at = self._opened(shown), _time_of(body)
            if at < opened.newest:
                return
            opened.newest = at
            async with opened.turn:
                if at < opened.newest:
                    return
                entered = Entered.of(shown)
                channel = Memory.of(shown).origin.channel or entered.channel
                requests = await self._requests(person, channel, entered.picks)
                if shown["hash"] not in opened.hashes:
                    opened.hashes, opened.now = {shown["hash"]}, shown["hash"]
                with understanding():
                    summed = with_total(shown, entered.picks, requests)
                based = {"id": shown["id"], "hash": opened.now}
                changed = await update_view(self.services.client, based, summed, unless_changed=True)
                if changed is not None:
                    opened.now = changed["hash"]
                    opened.hashes.add(opened.now)

    async def looked_for(self, ack: AsyncAck, body: Body) -> None:
        """Suggest invoices for what was typed into the menu."""
        async with self.services.gate.entered():
            modules = Memory.of(body["view"]).listed
            try:
                async with asyncio.timeout(_SUGGEST_TIMEOUT_S):
                    listing = await self._suggested(clicker(body), modules)
            except (TimeoutError, DirectoryError, LedgerUnavailable) as error:
                log.info("no invoices are suggested", error=type(error).__name__)
                listing = Listing((), ())
            free = [one.invoice for one in listing.invoices if one.requested is None]
            today = self.services.desk.today
            await ack(options=found_for(str(body.get("value") or ""), free, today))

    async def _suggested(self, person: Person, modules: tuple[str, ...]) -> Listing:
        """What may be suggested: nothing to who may not see it any more.

        Raises DirectoryError, LedgerUnavailable.
        """
        if await self.services.authority.may_see(person) is not None:
            return Listing((), ())
        return await self._recent(modules) or await self.services.unpaid.of(modules)

    async def _fill(self, person: Person, form: PayForm, shown: View) -> None:
        listing = await self.services.unpaid.of(form.chosen)
        filled = await self.filled(person, form, listing, None)
        await update_view(self.services.client, shown, filled.view(), unless_changed=True)

    async def filled(self, person: Person, form: PayForm, listing: Listing, channel: str | None) -> PayForm:
        """The form with what was read. channel: that is chosen in it."""
        filled = replace(form, listing=listing)
        picks = [Pick.of(str(one["value"])) for one in filled.picked()]
        requests = await self._requests(person, form.memory.origin.channel or channel, picks)
        return replace(filled, requests=requests)

    async def _recent(self, modules: tuple[str, ...]) -> Listing | None:
        try:
            return await self.services.unpaid.recent(modules)
        except LedgerUnavailable:
            return None

    async def _requests(self, person: Person, channel: str | None, picks: Iterable[Pick]) -> int | None:
        """How many requests these make, one a rule; None where that cannot be said now."""
        if channel is None:
            return None
        rules: set[str] = set()
        try:
            with within(BEFORE_A_FORM):
                for module in dict.fromkeys(one.ref.module for one in picks):
                    # Only to count: whether they are in the channel is asked when they ask.
                    rule = await self.services.authority.may_request(
                        person, module, channel, typed_there=True
                    )
                    if isinstance(rule, Rule):
                        rules.add(rule.name)
        except DirectoryError:
            return None
        return len(rules)

    def _opened(self, shown: View) -> _OpenForm:
        opened = self._forms.pop(str(shown["id"]), None) or _OpenForm()
        self._forms[str(shown["id"])] = opened
        while len(self._forms) > _REMEMBERED:
            del self._forms[next(iter(self._forms))]
        return opened


def _time_of(body: Body) -> float:
    with understanding():
        return float(body["actions"][0]["action_ts"])
