"""`/pay`: acknowledge, translate, call the desk, say what came of it. Nothing waits for the billing API."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.domain import command
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.slack import replies
from bot.slack.card import Message, section
from bot.slack.inbound import Acknowledge, Body, Gate, in_time, typist
from bot.slack.listeners.readings import Readings
from bot.slack.listeners.shortcuts import Shortcuts
from bot.slack.respond import send
from bot.slack.web_api import Client, Workspace

NAME = "/pay"


class Commands:
    """The slash command."""

    def __init__(
        self,
        desk: Desk,
        catalogue: Catalogue,
        readings: Readings,
        shortcuts: Shortcuts,
        client: Client,
        workspace: Workspace,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._catalogue = catalogue
        self._readings = readings
        self._shortcuts = shortcuts
        self._client = client
        self._workspace = workspace
        self._gate = gate

    def register(self, app: AsyncApp) -> None:
        """Listen for the command."""
        app.command(NAME)(self._listen)

    async def _listen(self, ack: Acknowledge, body: Body) -> None:
        async with self._gate.entered():
            reply, late = await in_time(
                self._reply(body), lambda: ack(response_type="ephemeral", text=replies.TAKES_LONGER)
            )
            if not late:
                await ack(**_response(reply))
            elif reply is not None:
                await send(self._client, str(body["response_url"]), _message(reply))

    async def _reply(self, body: Body) -> Message | str | None:
        try:
            return await self._answer(body)
        except DirectoryError:
            return replies.SLACK_SILENT
        except LedgerUnavailable as error:
            return replies.unavailable(error)

    async def _answer(self, body: Body) -> Message | str | None:
        """What to tell the person; None where a card, a form or a list says it."""
        person, channel = typist(body), str(body["channel_id"])
        trigger_id, response_url = str(body["trigger_id"]), str(body["response_url"])
        asked = command.parse(str(body.get("text") or ""), self._catalogue.modules)
        match asked:
            case command.Request(ref):
                answer = await self._desk.request(
                    person,
                    channel,
                    ref,
                    trigger_id=trigger_id,
                    typed_there=True,
                    response_url=response_url,
                )
                return replies.said(answer, self._workspace.url)
            case command.OpenForm():
                return await self._shortcuts.open(person, trigger_id, channel, response_url)
            case command.Resolve(payment_id, paid, note):
                settled = await self._desk.resolve(person, payment_id, paid=paid, note=note)
                return replies.said(settled, self._workspace.url)
            case command.Misunderstood():
                return replies.misunderstood(asked)
            case command.Help():
                return replies.help_text()
            case _:
                return await self._readings.answer(
                    person, asked, trigger_id=trigger_id, response_url=response_url
                )


def _response(reply: Message | str | None) -> dict[str, Any]:
    if reply is None:
        return {}
    if isinstance(reply, str):
        return {"response_type": "ephemeral", "text": reply}
    return {"response_type": "ephemeral", "text": reply.text, "blocks": reply.blocks}


def _message(reply: Message | str) -> Message:
    return Message(reply, [section(reply)]) if isinstance(reply, str) else reply
