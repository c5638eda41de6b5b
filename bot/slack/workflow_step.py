"""The step "Request an invoice payment" of Workflow Builder, so that a team's own flow can end in a payment.

Who asks: the person whom Slack names in `requester`, an input of Slack's type user_context. Slack fills it
with whoever started the workflow or acted in it last; the workflow's author cannot set it, unlike every
other input, so an app whose manifest declares it as anything else is refused. The rules decide about that
person, as if they had typed the command in that channel. A run without such a person, as on a schedule,
is refused. The event does not tell the person's team, so Slack is asked: guests and people of other
organizations are refused, even those named by id.

What this cannot show is whether that person knew what the workflow would ask for. So they are named on
the card, may take it back, and never approve it; and the author, who may be an approver, counts as
nobody. Workflow Builder lets an admin choose who may use the step.

Its run's id is the request's trigger: Slack may repeat the event, and what was not committed is left
unacknowledged, so that it does. What was refused once is refused for good, whatever changed since. A step
ends when its payment has come to rest. Only PAID completes it. Everything else fails it, so that a workflow
which looks at no output cannot mistake a refusal for a payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.about import done_by
from bot.domain import command
from bot.domain.payment import STEP_TRIGGER, Payment, State
from bot.domain.typed_words import Misunderstood
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.answers import Requested
from bot.payments.authority import NOT_FULL_MEMBER, Person
from bot.slack import replies
from bot.slack.delivered import is_identifier, understanding
from bot.slack.inbound import Body, Services, one_line
from bot.slack.text import harmless, standing, subject
from bot.slack.web_api import Client, Later, Posted, Rejected, write

log = structlog.get_logger()

STEP = "request_invoice_payment"
"""The function's callback id in the manifest."""

LONGEST_TEXT = 2000
"""Characters of a text that goes into a workflow."""

_VOUCHED_FOR = "slack#/types/user_context"

_LONGEST_RUN = 150
"""Characters of a run's id; Slack's have some thirteen."""

_NOBODY = "Nobody started this step whom Slack can name, so nobody asks for the payment."


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """Takes steps up; the announcer ends them."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the step."""
        app.function(STEP, auto_acknowledge=False)(self._executed)

    async def _executed(self, ack: AsyncAck, event: Body) -> None:
        async with self.services.gate.entered():
            with done_by(_who(event)):
                await self._take_up(ack, event)

    async def _take_up(self, ack: AsyncAck, event: Body) -> None:
        run = str(event["function_execution_id"])
        try:
            why = await self._decided(run, event)
        except (DirectoryError, LedgerUnavailable) as error:
            log.warning("a workflow step was not taken up; Slack repeats it", error=str(error))
            return
        if why is not None:
            answer = await fail(self.services.client, run, why)
            if isinstance(answer, Later):
                log.warning("a workflow step was not ended; Slack repeats it", error=answer.error)
                return
        await ack()

    async def _decided(self, run: str, event: Body) -> str | None:
        """Why the step fails, by the first word on it; None where the payment's end is the step's."""
        if len(run) > _LONGEST_RUN:
            return _NOBODY
        desk = self.services.desk
        trigger = f"{STEP_TRIGGER}{run}"
        if (before := await desk.refused_before(trigger)) is not None:
            return before
        why = await self._request(trigger, event)
        return None if why is None else await desk.refuse(trigger, why)

    async def _request(self, trigger: str, event: Body) -> str | None:
        """Why it may not be requested; None where it is."""
        inputs = event.get("inputs") or {}
        user, channel = _who(event), inputs.get("channel")
        if user is None:
            return _NOBODY
        if not isinstance(channel, str) or not channel:
            return "The step names no channel."
        desk, person = self.services.desk, Person(user, self.services.workspace.team)
        if not await self.services.directory.full_member(user):
            await desk.record_refusal(person, NOT_FULL_MEMBER, "request by a workflow")
            return replies.in_plain_words(NOT_FULL_MEMBER)
        typed = f"{inputs.get('module')} {inputs.get('invoice')}"
        asked = command.parse(typed, self.services.catalogue.modules)
        if not isinstance(asked, command.Request) or len(asked.refs) > 1 or asked.pay_on is not None:
            problem = asked.problem if isinstance(asked, Misunderstood) else "That is not one invoice."
            return f"{problem} The step takes a module such as vps, and an invoice's number."
        note = _note(inputs.get("note"))
        answer = await desk.request(person, channel, asked.refs, trigger_id=trigger, note=note)
        return None if isinstance(answer, Requested) else replies.in_plain_words(answer)


def _who(event: Body) -> str | None:
    """The person whom Slack itself names, and nobody that an author could have written there.

    Raises NotUnderstood.
    """
    with understanding():
        declared = {
            one.get("name"): one.get("type") for one in event["function"].get("input_parameters") or ()
        }
        requester = (event.get("inputs") or {}).get("requester")
    if declared.get("requester") != _VOUCHED_FOR or not isinstance(requester, dict):
        return None
    user = requester.get("id")
    return user if is_identifier(user) else None


def _note(given: object) -> str | None:
    line = one_line(given) if isinstance(given, str) else None
    return line[: command.MAX_NOTE] if line else None


async def end_step(client: Client, payment: Payment) -> Posted | Rejected | Later:
    """Tell Slack how the step ended; `Posted` where Slack took it."""
    run = payment.request.step_run
    assert run is not None, "bug: only a step's payment ends a step"
    if payment.state is State.PAID:
        answer = await complete(client, run, payment)
    else:
        answer = await fail(client, run, failure(payment))
    # A ts is what the ledger has room for.
    return Posted(run[:32]) if isinstance(answer, dict) else answer


async def complete(client: Client, run: str, payment: Payment) -> dict[str, Any] | Rejected | Later:
    """Complete a step whose payment was made.

    Not by Bolt's, whose token comes with the step and lasts minutes: an approval may take days.
    """
    outputs = {
        "state": payment.state.value,
        # What a workflow makes of it may be a message, so it must stay text there.
        "status_text": harmless(payment.status_text or "", LONGEST_TEXT),
        "payment_id": payment.request.id,
    }
    return await write(client, "functions.completeSuccess", function_execution_id=run, outputs=outputs)


async def fail(client: Client, run: str, error: str) -> dict[str, Any] | Rejected | Later:
    """Fail a step. error: plain text for the people of the workflow; it may end up in a message."""
    words = harmless(error, LONGEST_TEXT)
    return await write(client, "functions.completeError", function_execution_id=run, error=words)


def failure(payment: Payment) -> str:
    """Why no payment came of it, as plain text."""
    said = payment.status_text or ("" if payment.withdrawn else payment.reason)
    return f"{subject(payment)}: {standing(payment)[1]}. {said or ''}".strip()
