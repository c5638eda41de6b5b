"""`/pay`: acknowledge, translate, call the desk, say what came of it. Nothing waits for the billing API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.command import Help, OpenForm, Pause, Request, RequestDue, Resolve, Resume, parse
from bot.domain.typed_words import Misunderstood
from bot.errors import DirectoryError
from bot.metrics import COMMANDS
from bot.payments.allowance import allowance_of
from bot.payments.answers import is_done
from bot.payments.authority import Person
from bot.payments.pausing import begins_or_ends
from bot.slack import replies
from bot.slack.blocks import Message, paragraph
from bot.slack.help_text import help_text
from bot.slack.inbound import Body, Services, in_time, outcome_of
from bot.slack.lists import Lists
from bot.slack.pay_form import PayForms
from bot.slack.pay_form_view import Origin
from bot.slack.preview import Previews
from bot.slack.respond import respond

NAME = "/pay"


@dataclass(frozen=True, slots=True)
class Commands:
    """The slash command."""

    services: Services
    lists: Lists
    pay_forms: PayForms
    previews: Previews

    def register(self, app: AsyncApp) -> None:
        """Listen for the command."""
        app.command(NAME)(self._typed)

    async def _typed(self, ack: AsyncAck, command: Body) -> None:
        async with self.services.gate.entered():
            reply, late = await in_time(
                outcome_of(self._reply(command)),
                lambda: ack(response_type="ephemeral", text=replies.TAKES_LONGER),
            )
            if not late:
                await ack(**_response(reply))
            elif reply is not None:
                message = paragraph(reply) if isinstance(reply, str) else reply
                await respond(self.services.client, str(command["response_url"]), message)

    async def _reply(self, command: Body) -> Message | str | None:
        """What to tell the person; None where a card, a form or a list says it.

        Raises DirectoryError, LedgerUnavailable.
        """
        desk, team_url = self.services.desk, self.services.workspace.url
        person, channel = Person(id=command["user_id"], team=command["team_id"]), str(command["channel_id"])
        trigger_id, response_url = str(command["trigger_id"]), str(command["response_url"])
        asked = parse(str(command.get("text") or ""), self.services.catalogue.modules)
        COMMANDS.labels(type(asked).__name__).inc()
        match asked:
            case Request(refs) if len(refs) > 1:
                return self.previews.answer(person, channel, asked, trigger_id, response_url)
            case RequestDue():
                return self.previews.answer(person, channel, asked, trigger_id, response_url)
            case Request(refs, note, pay_on):
                asking = desk.request(
                    person,
                    channel,
                    refs,
                    trigger_id=trigger_id,
                    typed_there=True,
                    response_url=response_url,
                    note=note,
                    pay_on=pay_on,
                )
                return replies.said(await desk.once(trigger_id, asking, is_done), team_url)
            case OpenForm():
                return await self.pay_forms.open(person, trigger_id, Origin(channel, response_url))
            case Resolve(request_id, paid, note, ref):
                settling = desk.resolve(
                    person, request_id, paid=paid, note=note, ref=ref, trigger_id=trigger_id
                )
                return replies.said(await desk.once(trigger_id, settling, is_done), team_url)
            case Pause(reason):
                pausing = desk.pause(person, reason, trigger_id=trigger_id)
                return replies.of_pausing(await desk.once(trigger_id, pausing, begins_or_ends))
            case Resume():
                resuming = desk.resume(person, trigger_id=trigger_id)
                return replies.of_pausing(await desk.once(trigger_id, resuming, begins_or_ends))
            case Misunderstood():
                return replies.misunderstood(asked)
            case Help():
                return await self._help(person, channel)
            case _:
                return await self.lists.answer(
                    person, asked, trigger_id=trigger_id, response_url=response_url
                )

    async def _help(self, person: Person, channel: str) -> Message:
        """The help does not wait for a Slack that is away."""
        services = self.services
        try:
            allowed = await allowance_of(services.authority, person, channel, services.catalogue.modules)
        except DirectoryError:
            return help_text(None, person.id)
        return help_text(allowed, person.id)


def _response(reply: Message | str | None) -> dict[str, Any]:
    if reply is None:
        return {}
    if isinstance(reply, str):
        return {"response_type": "ephemeral", "text": reply}
    return {"response_type": "ephemeral", "text": reply.text, "blocks": reply.blocks}
