"""The form to ask for a payment, opened by `/pay` alone or by the shortcut.

It opens at once and says that it reads; the invoices come in when the billing API has told them. What was
entered by then is kept, and a reading that comes after the form was changed or closed is dropped. A module
that is picked is never dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.policy import Refusal
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments.authority import Authority, Person
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.payments.poller import Crew
from bot.payments.unpaid import UnpaidInvoices
from bot.slack import answers, forms, replies
from bot.slack.answers import View
from bot.slack.directory import within
from bot.slack.forms import Origin, PayForm
from bot.slack.listeners.shared import Acknowledge, Body, Gate, clicker

SHORTCUT = "pay_invoice"
"""The callback id in manifest.yml."""

BEFORE_IT_OPENS = 1.0
"""Seconds to find out who may ask; the form must open within three of the command."""

_AT_ONCE = 50


class Shortcuts:
    """Opens the form and fills it in."""

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger,
        authority: Authority,
        catalogue: Catalogue,
        unpaid: UnpaidInvoices,
        client: AsyncWebClient,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._authority = authority
        self._catalogue = catalogue
        self._unpaid = unpaid
        self._client = client
        self._gate = gate
        self.crew: Crew[str] = Crew("forms", _AT_ONCE, asyncio.Event())

    def register(self, app: AsyncApp) -> None:
        """Listen for the shortcut, and for another module in the form."""
        app.shortcut(SHORTCUT)(self._shortcut)
        app.action(forms.MODULE)(self._module_picked)

    async def open(self, person: Person, trigger_id: str, channel: str, response_url: str) -> str | None:
        """Open the form for a command typed in this channel; what to tell the person where it did not.

        Raises DirectoryError, LedgerUnavailable.
        """
        return await self._open(person, trigger_id, Origin(channel, response_url))

    async def _shortcut(self, ack: Acknowledge, body: Body) -> None:
        async with self._gate.entered():
            trigger = str(body["trigger_id"])
            try:
                reply = await self._open(clicker(body), trigger, Origin(None, None))
            except DirectoryError:
                reply = replies.SLACK_SILENT
            except LedgerUnavailable as error:
                reply = replies.unavailable(error)
            if reply is not None:
                await answers.show(self._client, trigger, forms.notice(reply))
            await ack()

    async def _open(self, person: Person, trigger_id: str, origin: Origin) -> str | None:
        with within(BEFORE_IT_OPENS):
            choice = await self._authority.choice_of(person, origin.channel, self._catalogue.modules)
        if isinstance(choice, Refusal):
            await self._desk.record_refusal(person, choice, "form")
            return replies.refused(choice)
        latest = await self._ledger.recent(requester=person.id, limit=1)
        usual = latest[0].ref.module if latest else ""
        form = PayForm(
            origin=replace(origin, suggested=choice.channel),
            modules=choice.modules,
            module=usual if usual in choice.modules else choice.modules[0],
            listing=None,
            today=self._ledger.clock().date(),
        )
        shown = await answers.show(self._client, trigger_id, form.view())
        if shown is None:
            return replies.NO_FORM
        self._fill(form, shown)
        return None

    async def _module_picked(self, ack: Acknowledge, body: Body) -> None:
        await ack()
        async with self._gate.entered():
            shown = body["view"]
            form = PayForm(
                origin=Origin.of(shown),
                modules=forms.modules_in(shown),
                module=str(body["actions"][0]["selected_option"]["value"]),
                listing=None,
                today=self._ledger.clock().date(),
            )
            if form.module not in form.modules:
                return
            # What stands there belongs to the other module: away with it, before the new is read; also
            # where it came in after the click.
            reading = await answers.replace(self._client, shown, form.view())
            if reading is not None:
                self._fill(form, reading)

    def _fill(self, form: PayForm, shown: View) -> None:
        key = f"{shown['id']}:{shown['hash']}"
        if self.crew.free > 0 and key not in self.crew.keys:
            self.crew.start(key, self._filled(form, shown))

    async def _filled(self, form: PayForm, shown: View) -> None:
        listing = await self._unpaid.of([form.module])
        await answers.change(self._client, shown, replace(form, listing=listing).view())
