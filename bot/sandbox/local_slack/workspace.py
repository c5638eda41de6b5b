"""The state that the Web API, the deliveries and the people share: tokens, trigger_ids, steps under way."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from bot.sandbox.local_slack.app_manifest import AppManifest
from bot.sandbox.local_slack.changes import Clock
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.views import Views
from bot.sandbox.local_slack.world import Channel, ChannelKind, World

_TRIGGER_ID = re.compile(r"\d+\.\d+\.[0-9a-f]+")


@dataclass(slots=True)
class _Trigger:
    person: str
    expires: float
    used: bool = False


class Triggers:
    """trigger_ids: each opens one modal, within `lifetime` seconds of the interaction it came with."""

    def __init__(self, clock: Clock, lifetime: float) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._issued: dict[str, _Trigger] = {}

    def issue(self, person: str) -> str:
        """A new trigger_id for what this person just did."""
        now = self._clock.now()
        trigger_id = f"{int(now * 1000)}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = _Trigger(person, now + self.lifetime)
        return trigger_id

    def exchange(self, trigger_id: str) -> str:
        """The person it was issued for. It cannot be exchanged again."""
        trigger = self._issued.get(trigger_id)
        if trigger is None or not _TRIGGER_ID.fullmatch(trigger_id):
            raise ApiError("invalid_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        if self._clock.now() > trigger.expires:
            raise ApiError("expired_trigger_id")
        trigger.used = True
        return trigger.person


@dataclass(slots=True)
class Execution:
    """One run of a custom step of a workflow.

    status: running, completed or failed. error: what the app told the people, if it failed.
    """

    id: str
    callback_id: str
    inputs: Json
    token: str
    status: str = "running"
    outputs: Json = field(default_factory=dict)
    error: str = ""


@dataclass(slots=True)
class Workspace:
    """One installed app in one workspace.

    scopes: what the bot token may do. edit_window: seconds in which a message may be edited, None
    for ever. address: http://host:port, known once the server listens. tickets: Socket Mode addresses
    that were given out and not yet used, each with the app whose it is. other_apps: the app-level tokens of
    apps that are somebody else's, each with its app.
    """

    clock: Clock
    world: World
    views: Views
    triggers: Triggers
    manifest: AppManifest
    scopes: frozenset[str]
    bot_token: str
    app_token: str
    signing_secret: str
    edit_window: float | None = None
    address: str = ""
    tickets: dict[str, str] = field(default_factory=dict)
    other_apps: dict[str, str] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)

    def may_write(self, channel: Channel) -> bool:
        """Whether people have a composer there: not where the app's messages are read-only."""
        return self.manifest.messages_tab_writable or channel.kind is not ChannelKind.DIRECT

    def workflow_tokens(self) -> set[str]:
        """The tokens that came with function_executed events and still work."""
        return {each.token for each in self.executions.values() if each.status == "running"}

    def start_execution(self, callback_id: str, inputs: Json) -> Execution:
        """Register a run of a custom step."""
        identifier = f"Fx0{len(self.executions) + 1:08d}"
        token = f"xwfp-{secrets.token_hex(16)}"
        execution = Execution(identifier, callback_id, inputs, token)
        self.executions[execution.id] = execution
        return execution
