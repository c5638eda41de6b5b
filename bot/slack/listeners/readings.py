"""`/pay list`, `status`, `mine` and `pending`: for those who may request or approve; others are refused.

Histories and amounts are theirs to see, and nobody else's. What the ledger knows is told at once; the
billing API may be slow, so the list of unpaid invoices follows when it has been read.
"""

from __future__ import annotations

import asyncio

from bot.domain import command
from bot.domain.payment import Payment
from bot.errors import LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments.authority import Authority, Person
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.payments.overview import Overview
from bot.payments.poller import Crew
from bot.payments.unpaid import UnpaidInvoices
from bot.slack import lists, replies
from bot.slack.card import Message
from bot.slack.respond import send
from bot.slack.web_api import Client, Workspace

Reading = (
    command.ListUnpaid | command.StatusOfInvoice | command.StatusOfPayment | command.Mine | command.Pending
)

_MINE = 15
_AT_ONCE = 20


class Readings:
    """Answers what is only read."""

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger,
        authority: Authority,
        overview: Overview,
        catalogue: Catalogue,
        unpaid: UnpaidInvoices,
        client: Client,
        workspace: Workspace,
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._authority = authority
        self._overview = overview
        self._catalogue = catalogue
        self._unpaid = unpaid
        self._client = client
        self._workspace = workspace
        self.crew: Crew[str] = Crew("lists", _AT_ONCE, asyncio.Event())

    async def answer(
        self, person: Person, asked: Reading, *, trigger_id: str, response_url: str
    ) -> Message | str | None:
        """What to tell the person at once; None where it follows.

        Raises DirectoryError, LedgerUnavailable.
        """
        refusal = await self._authority.may_see(person)
        if refusal is not None:
            await self._desk.record_refusal(person, refusal, type(asked).__name__)
            return replies.refused(refusal)
        match asked:
            case command.ListUnpaid(module):
                return self._list(module, trigger_id, response_url)
            case command.StatusOfInvoice(ref):
                payment = await self._ledger.latest(ref)
                return lists.never_requested(ref) if payment is None else await self._status(payment)
            case command.StatusOfPayment(payment_id):
                payment = await self._ledger.payment(payment_id)
                return replies.not_found(payment_id) if payment is None else await self._status(payment)
            case command.Mine():
                mine = await self._ledger.recent(requester=person.id, limit=_MINE)
                return lists.mine(mine, self._workspace.url)
            case command.Pending():
                return lists.pending(await self._overview.waiting(person), self._workspace.url)

    async def _status(self, payment: Payment) -> Message:
        return lists.status(payment, await self._ledger.history(payment.id), self._workspace.url)

    def _list(self, module: str | None, trigger_id: str, response_url: str) -> str | None:
        if trigger_id in self.crew.keys:
            return None  # Slack delivered the command twice
        if self.crew.free <= 0:
            return replies.BUSY
        # A list that is lost in a crash is asked for again: it is the one answer that need not last.
        self.crew.start(trigger_id, self._send_list(module, response_url))
        return None

    async def _send_list(self, module: str | None, response_url: str) -> None:
        modules = (module,) if module else self._catalogue.modules
        try:
            listing = await self._unpaid.of(modules)
        except LedgerUnavailable:
            await send(self._client, response_url, lists.simple(replies.TRY_AGAIN))
            return
        await send(self._client, response_url, lists.unpaid(listing, module, self._ledger.clock().date()))
