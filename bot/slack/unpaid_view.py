"""The unpaid invoices over the Home tab, where nobody can type: opened at once, filled in when read."""

from __future__ import annotations

from dataclasses import dataclass, field

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import LedgerUnavailable
from bot.payments.authority import Person
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Block, View, notice, plain, section
from bot.slack.directory import within
from bot.slack.inbound import BEFORE_A_FORM, Body, Services, clicker, outcome_of, reading_pool
from bot.slack.lists import unpaid
from bot.slack.respond import open_view, update_view

UNPAID = "show_unpaid"
"""The action id of the button."""

ROOM = 30_000
"""Characters of the list; a view takes a hundred blocks of three thousand."""


@dataclass(frozen=True, slots=True)
class UnpaidViews:
    """Shows it to those who may see it."""

    services: Services
    pool: TaskPool[str] = field(init=False, default_factory=lambda: reading_pool("unpaid"))

    def register(self, app: AsyncApp) -> None:
        """Listen for the button."""
        app.action(UNPAID)(self._asked_for)

    async def _asked_for(self, ack: AsyncAck, body: Body) -> None:
        async with self.services.gate.entered():
            refusal = await outcome_of(self._refusal(clicker(body)))
            view = _view([section("Reading the unpaid invoices …")]) if refusal is None else notice(refusal)
            shown = await open_view(self.services.client, str(body["trigger_id"]), view)
            if refusal is None and shown is not None:
                self.pool.start(str(shown["id"]), self._fill(shown))
            await ack()

    async def _refusal(self, person: Person) -> str | None:
        """Why this person may not see it. Raises DirectoryError, LedgerUnavailable."""
        if self.pool.free <= 0:
            return replies.BUSY
        with within(BEFORE_A_FORM):
            refusal = await self.services.authority.may_see(person)
        if refusal is None:
            return None
        await self.services.desk.record_refusal(person, refusal, UNPAID)
        return replies.refused(refusal)

    async def _fill(self, shown: View) -> None:
        services = self.services
        try:
            found = await services.unpaid.of(services.catalogue.modules)
        except LedgerUnavailable:
            blocks = [section(replies.TRY_AGAIN)]
        else:
            blocks = unpaid(found, None, services.desk.today, room=ROOM).blocks
        await update_view(services.client, shown, _view(blocks), unless_changed=False)


def _view(blocks: list[Block]) -> View:
    return {"type": "modal", "title": plain("Unpaid invoices"), "close": plain("Close"), "blocks": blocks}
