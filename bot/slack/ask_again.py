"""Ask again: a new request for what was declined, denied or expired, by whoever may ask for it now.

The same path as a command: the rules decide anew, in the channel of the first request, which the person must
be in, as Slack says; what stands under several rules by now is a request a rule. The note goes along, and so
does the day, unless that is over. What costs something else than the card shows is shown first, as a preview.
"""

from __future__ import annotations

from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.answers import AlreadyDecided, Answer, Forgotten, NotFound
from bot.payments.authority import Person
from bot.payments.proposals import Line, mark
from bot.slack import replies
from bot.slack.blocks import Message
from bot.slack.card import ASK_AGAIN, ASKED_AGAIN_FROM, may_ask_again
from bot.slack.decisions import Clicked, repair
from bot.slack.inbound import Body, Services, clicker, delivery_of, in_time, outcome_of
from bot.slack.preview import asked_as_shown, failed, requested
from bot.slack.respond import respond_to


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Requests by the desk; a new card shows the outcome."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the button."""
        app.action(ASK_AGAIN)(self._pressed)

    async def _pressed(self, ack: AsyncAck, body: Body, action: Body) -> None:
        async with self.services.gate.entered():
            asking = self._reply(clicker(body), Clicked.read(action.get("value")), body)
            reply, late = await in_time(outcome_of(asking), ack)
            if not late:
                await ack()
            if reply is not None:
                await respond_to(self.services.client, body, reply)

    async def _reply(self, person: Person, on: Clicked, body: Body) -> Message | str | None:
        """What the clicker is told; None where the new card tells everybody."""
        before = await self.services.ledger.of_request(on.request_id)
        if before is None:
            return await self._refused(NotFound(on.request_id), body)
        if on.mark not in (None, before.request.mark):
            return await self._refused(Forgotten(before.request), body)
        if not may_ask_again(before):
            await repair(self.services, answer := AlreadyDecided(before))
            return await self._refused(answer, body)
        again = before.within(ASKED_AGAIN_FROM)
        channel, note = before.request.channel, before.request.note
        refs, pay_on = [one.ref for one in again], self.services.desk.to_come(before.request.pay_on)
        on_card = mark([Line(one.ref, one.invoice) for one in again])
        asked = await asked_as_shown(
            self.services,
            person,
            channel,
            refs,
            shown=on_card,
            # Delivered again, it is the same click, and so the same requests.
            trigger=f"again:{body['trigger_id']}",
            note=note,
            pay_on=pay_on,
            body=body,
        )
        if isinstance(asked, Message):
            return asked
        if len(asked) > 1:
            return requested(asked, self.services.workspace.url)
        outcome = asked[0].outcome
        if isinstance(outcome, DirectoryError | LedgerUnavailable):
            return failed(outcome)
        await repair(self.services, outcome)
        return self._said(outcome)

    async def _refused(self, answer: Answer, body: Body) -> str | None:
        """What is said to whoever can ask for nothing by this click, nor when it is delivered again."""
        if (delivery := delivery_of(body)) is not None:
            await self.services.desk.refuse(delivery)
        return self._said(answer)

    def _said(self, answer: Answer) -> str | None:
        return replies.said(answer, self.services.workspace.url)
