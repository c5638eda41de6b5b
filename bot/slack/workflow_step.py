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

A step ends when its payment has come to rest. Its run's id is the request's trigger: Slack may repeat the
event, and what was not committed is left unacknowledged, so that it does.
"""

from __future__ import annotations

import structlog
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import command
from bot.domain.payment import STEP_TRIGGER
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments import answers
from bot.payments.authority import NOT_FULL_MEMBER, Person
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.slack import replies
from bot.slack.directory import SlackDirectory
from bot.slack.inbound import Acknowledge, Body, Gate
from bot.slack.pay_form import one_line
from bot.slack.web_api import Rejected, Workspace
from bot.slack.workflows import fail_step

log = structlog.get_logger()

STEP = "request_invoice_payment"
"""The function's callback id in the manifest."""

_VOUCHED_FOR = "slack#/types/user_context"

_LONGEST_RUN = 150
"""Characters of a run's id; Slack's have some thirteen."""

_NOBODY = "Nobody started this step whom Slack can name, so nobody asks for the payment."


class WorkflowStep:
    """Takes steps up; the announcer ends them."""

    def __init__(
        self,
        desk: Desk,
        directory: SlackDirectory,
        catalogue: Catalogue,
        client: AsyncWebClient,
        workspace: Workspace,
        gate: Gate,
    ) -> None:
        self._desk = desk
        self._directory = directory
        self._catalogue = catalogue
        self._client = client
        self._workspace = workspace
        self._gate = gate

    def register(self, app: AsyncApp) -> None:
        """Listen for the step."""
        app.function(STEP, auto_acknowledge=False)(self._executed)

    async def _executed(self, ack: Acknowledge, body: Body) -> None:
        async with self._gate.entered():
            event = body["event"]
            run = str(event["function_execution_id"])
            try:
                why = await self._request(run, event)
            except (DirectoryError, LedgerUnavailable) as error:
                log.warning("a workflow step was not taken up; Slack repeats it", error=str(error))
                return
            if why is not None:
                answer = await fail_step(self._client, run, why)
                if not isinstance(answer, dict | Rejected):
                    log.warning("a workflow step was not ended; Slack repeats it", error=answer.error)
                    return
            await ack()

    async def _request(self, run: str, event: Body) -> str | None:
        """Why the step fails; None where the payment's end is the step's."""
        inputs = event.get("inputs") or {}
        user, channel = _who(event), inputs.get("channel")
        if user is None or len(run) > _LONGEST_RUN:
            return _NOBODY
        if not isinstance(channel, str) or not channel:
            return "The step names no channel."
        person = Person(user, self._workspace.team)
        if not await self._directory.full_member(user):
            await self._desk.record_refusal(person, NOT_FULL_MEMBER, "request by a workflow")
            return replies.in_plain_words(NOT_FULL_MEMBER)
        asked = command.parse(f"{inputs.get('module')} {inputs.get('invoice')}", self._catalogue.modules)
        if not isinstance(asked, command.Request):
            problem = asked.problem if isinstance(asked, command.Misunderstood) else "That is no invoice."
            return f"{problem} The step takes a module such as vps, and an invoice's number."
        answer = await self._desk.request(
            person, channel, asked.ref, trigger_id=f"{STEP_TRIGGER}{run}", note=_note(inputs.get("note"))
        )
        return None if isinstance(answer, answers.Requested) else replies.in_plain_words(answer)


def _who(event: Body) -> str | None:
    """The person whom Slack itself names, and nobody that an author could have written there."""
    declared = {one.get("name"): one.get("type") for one in event["function"].get("input_parameters") or ()}
    requester = (event.get("inputs") or {}).get("requester")
    if declared.get("requester") != _VOUCHED_FOR or not isinstance(requester, dict):
        return None
    user = requester.get("id")
    return user if isinstance(user, str) and user else None


def _note(given: object) -> str | None:
    line = one_line(given) if isinstance(given, str) else None
    return line[: command.MAX_NOTE] if line else None
