"""`/pay`: acknowledge, translate, call the desk, say what came of it. Nothing waits for the billing API."""

from __future__ import annotations

from typing import Any, Protocol

from slack_bolt.async_app import AsyncApp

from bot.domain import command
from bot.domain.rule import Refusal
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments import desk as answers
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.slack import replies
from bot.slack.listeners.shared import Gate, typist
from bot.slack.wire import Workspace

NAME = "/pay"


class Acknowledge(Protocol):
    """Bolt's ack."""

    async def __call__(self, **response: Any) -> Any:
        """Answer the command."""


class Commands:
    """The slash command."""

    def __init__(
        self, desk: Desk, ledger: Ledger, catalogue: Catalogue, workspace: Workspace, gate: Gate
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._catalogue = catalogue
        self._workspace = workspace
        self._gate = gate

    def register(self, app: AsyncApp) -> None:
        """Listen for the command."""
        app.command(NAME)(self._listen)

    async def _listen(self, ack: Acknowledge, body: dict[str, Any]) -> None:
        async with self._gate.entered():
            try:
                reply = await self._answer(body)
            except DirectoryError:
                reply = replies.SLACK_SILENT
            except LedgerUnavailable:
                reply = replies.TRY_AGAIN
            if reply is None:
                await ack()
            else:
                await ack(response_type="ephemeral", text=reply)

    async def _answer(self, body: dict[str, Any]) -> str | None:
        """What to tell the person; None where the card says it all."""
        person, channel = typist(body), str(body["channel_id"])
        asked = command.parse(str(body.get("text") or ""), self._catalogue.modules)
        match asked:
            case command.Request(ref):
                answer = await self._desk.request(
                    person,
                    channel,
                    ref,
                    trigger_id=str(body["trigger_id"]),
                    response_url=str(body["response_url"]),
                )
                return self._said(answer)
            case command.Misunderstood():
                return replies.misunderstood(asked)
            case command.Resolve(payment_id, paid, note):
                return self._said(await self._desk.resolve(person, payment_id, paid=paid, note=note))
            case _:
                return replies.help_text()

    def _said(self, answer: answers.Answer) -> str | None:
        match answer:
            case answers.Requested():
                return None
            case answers.Done(payment):
                return replies.done(payment, self._workspace.url)
            case answers.AlreadyRequested(payment):
                return replies.already_requested(payment, self._workspace.url)
            case answers.NotFound(payment_id):
                return replies.not_found(payment_id)
            case answers.NotYours(payment):
                return replies.not_yours(payment)
            case answers.AlreadyDecided(payment) | answers.AlreadyApproved(payment):
                return replies.stands(payment, self._workspace.url)
            case Refusal():
                return replies.refused(answer)
