"""The Events API: what happens in Slack, told to the app until it acknowledges."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.delivery import Delivery
from bot.sandbox.local_slack.errors import NotDelivered, NotThere
from bot.sandbox.local_slack.identifiers import APP_ID
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.payloads import event_payload
from bot.sandbox.local_slack.workspace import Execution, Workspace
from bot.sandbox.local_slack.world import Person


@dataclass(frozen=True, eq=False)
class Events:
    """Sends events, and repeats those that were not acknowledged.

    retry_delays: seconds before each repetition; Slack's are at once, a minute, five minutes.
    """

    _workspace: Workspace
    _delivery: Delivery
    retry_delays: Sequence[float]
    _retries: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def send(self, event: Json) -> Result:
        """Send one event and return what became of the first try; repetitions follow by themselves."""
        if event["type"] not in self._workspace.manifest.events:
            return Result(False, "not_subscribed")
        stamped = event | {"event_ts": self._workspace.clock.timestamp()}
        payload = event_payload(stamped, self._workspace.clock.now())
        failure = await self._attempt(payload, 0, "")
        if failure is None:
            return Result(True)
        retries = asyncio.create_task(self._repeat(payload, failure))
        self._retries.add(retries)
        retries.add_done_callback(self._retries.discard)
        return Result(False, failure.code)

    async def home_opened(self, person: Person) -> Result:
        """Somebody looks at the app's Home tab."""
        world = self._workspace.world
        channel = world.direct_channel(person.id)
        event: Json = {
            "type": "app_home_opened",
            "user": person.id,
            "channel": channel.id,
            "tab": "home",
        }
        view = self._workspace.views.home(person.id)
        if view is not None:
            event["view"] = view.as_payload()
        world.announce(ChangeKind.HOME_OPENED, person=person.id)
        return await self.send(event)

    async def function_executed(self, callback_id: str, inputs: Json, by: Person | None) -> Execution:
        """A workflow that `by` started has come to the app's custom step."""
        functions = self._workspace.manifest.functions
        if functions and callback_id not in functions:
            raise NotThere(f"the manifest has no function {callback_id}")
        definition = functions.get(callback_id, {})
        inputs = _with_person(definition, inputs, by)
        execution = self._workspace.start_execution(callback_id, inputs)
        self._workspace.world.announce(ChangeKind.STEP_STARTED, subject=execution.id, text=callback_id)
        await self.send(
            {
                "type": "function_executed",
                "function": {
                    "id": "Fn0SANDBOX1",
                    "callback_id": callback_id,
                    "title": definition.get("title", callback_id),
                    "description": definition.get("description", ""),
                    "type": "app",
                    "input_parameters": _parameters(definition, "input_parameters"),
                    "output_parameters": _parameters(definition, "output_parameters"),
                    "app_id": APP_ID,
                    "date_created": 1700000000,
                    "date_updated": 1700000000,
                    "date_deleted": 0,
                },
                "inputs": inputs,
                "function_execution_id": execution.id,
                "workflow_execution_id": f"Wx{execution.id[2:]}",
                "bot_access_token": execution.token,
            }
        )
        return execution

    async def stop(self) -> None:
        """Give up what has not been acknowledged yet."""
        for retries in tuple(self._retries):
            retries.cancel()
        await asyncio.gather(*self._retries, return_exceptions=True)

    async def _repeat(self, payload: Json, failure: NotDelivered) -> None:
        for attempt, delay in enumerate(self.retry_delays, start=1):
            await asyncio.sleep(delay)
            again = await self._attempt(payload, attempt, failure.reason)
            if again is None:
                return
            failure = again

    async def _attempt(self, payload: Json, attempt: int, reason: str) -> NotDelivered | None:
        """None if it was acknowledged, else what went wrong."""
        try:
            await self._delivery.deliver("events_api", payload, attempt, reason)
        except NotDelivered as failure:
            return failure
        return None


def _with_person(definition: Json, inputs: Json, by: Person | None) -> Json:
    """The inputs with those of type user_context, which Slack fills in and Workflow Builder shows nobody."""
    parameters = definition.get("input_parameters", {})
    contexts = [name for name, each in parameters.items() if each["type"] == "slack#/types/user_context"]
    if written := [name for name in contexts if name in inputs]:
        raise NotThere(f"a workflow's author cannot fill in {', '.join(written)}")
    if by is None:
        return inputs
    return inputs | {name: {"id": by.id, "secret": secrets.token_hex(16)} for name in contexts}


def _parameters(definition: Json, name: str) -> list[Json]:
    """The manifest says name -> parameter; the event says a list."""
    return [
        {
            "name": each,
            "type": parameter["type"],
            "title": parameter.get("title", each),
            "description": parameter.get("description", ""),
            "is_required": bool(parameter.get("is_required")),
        }
        for each, parameter in definition.get(name, {}).items()
    ]
