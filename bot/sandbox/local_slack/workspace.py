"""The state that the Web API, the deliveries and the people share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from bot.sandbox.local_slack.app_manifest import AppManifest
from bot.sandbox.local_slack.clock import Clock
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.triggers import Triggers
from bot.sandbox.local_slack.views import Views
from bot.sandbox.local_slack.world import Channel, ChannelKind, World


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
    that were given out and not yet used.
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
    tickets: set[str] = field(default_factory=set)
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
