"""LocalSlack: puts everything together, starts and stops it, and is what tests talk to."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.local_slack.actor import Actor
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST, AppManifest
from bot.sandbox.local_slack.changes import Changes, Clock
from bot.sandbox.local_slack.delivery import Delivery, HttpMode
from bot.sandbox.local_slack.errors import ManifestRefused, NotSeen
from bot.sandbox.local_slack.events import Events
from bot.sandbox.local_slack.faults import Faults, drop
from bot.sandbox.local_slack.interactions import Interactions, Result
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.page_api import PageApi
from bot.sandbox.local_slack.response_urls import ResponseUrls
from bot.sandbox.local_slack.socket_mode import SocketMode
from bot.sandbox.local_slack.views import View, Views
from bot.sandbox.local_slack.web_api import MESSAGE_BURST, ApiCall, WebApi
from bot.sandbox.local_slack.workspace import Execution, Triggers, Workspace
from bot.sandbox.local_slack.world import World, populate

Seen = TypeVar("Seen")

_LAST_CALLS = 15
"""How many calls of the Web API are shown when a test did not see what it waited for."""


class LocalSlack:
    """One workspace with one installed app.

    port: 0 takes a free one. manifest: the app's parsed manifest; `DEFAULT_MANIFEST` by default. It says
    whether Slack delivers by Socket Mode or to a request URL. Raises ManifestRefused where it says neither.
    scopes: what the bot token was granted; by default what the manifest asks for.
    ack_deadline, trigger_lifetime, response_url_lifetime, ping_interval: seconds, Slack's by default.
    event_retry_delays: seconds before each repetition of an event. edit_window: seconds in which a
    message may be edited, None for ever. enforce_rate_limits: whether Slack's are kept to.
    message_burst: how many messages at once a channel then tolerates; one a second follows.

    `world`, `clock`, `sockets` and `faults` are the parts that tests turn: people and channels,
    time, connections (ghosts, duplicates, disconnects), and trouble; `fail` and `heal` are those of
    `faults`. `on_change` and `changes` tell what happens, and `calls` are the Web API's so far.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        manifest: Json | None = None,
        scopes: frozenset[str] | None = None,
        ack_deadline: float = 3.0,
        trigger_lifetime: float = 3.0,
        response_url_lifetime: float = 1800.0,
        event_retry_delays: Sequence[float] = (0.0, 60.0, 300.0),
        ping_interval: float = 10.0,
        edit_window: float | None = None,
        enforce_rate_limits: bool = False,
        message_burst: int = MESSAGE_BURST,
    ) -> None:
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._changes = Changes()
        self.on_change, self.changes = self._changes.on_change, self._changes.stream
        self.clock = Clock()
        self.world = World(self.clock, self._changes)
        app_manifest = AppManifest(DEFAULT_MANIFEST if manifest is None else manifest)
        if app_manifest.refusals:
            raise ManifestRefused("; ".join(app_manifest.refusals))
        populate(self.world, app_manifest.bot_name, app_manifest.app_name)
        number = secrets.randbelow(10**12)
        self.bot_token = f"xoxb-{number}-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-A0PAYBOT01-{number}-{secrets.token_hex(32)}"
        self.signing_secret = secrets.token_hex(16)
        self._workspace = Workspace(
            self.clock,
            self.world,
            Views(self.world),
            Triggers(self.clock, trigger_lifetime),
            app_manifest,
            app_manifest.scopes if scopes is None else scopes,
            bot_token=self.bot_token,
            app_token=self.app_token,
            signing_secret=self.signing_secret,
            edit_window=edit_window,
        )
        self.faults = Faults()
        self.fail, self.heal = self.faults.order, self.faults.heal
        self.sockets = SocketMode(self._workspace, ack_deadline, ping_interval)
        self._web_api = WebApi(
            self._workspace,
            self.faults,
            enforce_rate_limits=enforce_rate_limits,
            message_burst=message_burst,
        )
        self.calls = self._web_api.calls
        self._response_urls = ResponseUrls(self._workspace, self.faults, response_url_lifetime)
        self._delivery = Delivery(self.world, self.faults, self.sockets)
        if app_manifest.request_url is not None:
            self.deliver_to(app_manifest.request_url)
        self._interactions = Interactions(self._workspace, self._response_urls, self._delivery)
        self._events = Events(self._workspace, self._delivery, event_retry_delays)
        self._page_api = PageApi(self._workspace, self._changes, self._interactions, self._events)

    # Where it is

    @property
    def address(self) -> str:
        """http://host:port, once started."""
        return self._workspace.address

    @property
    def api_url(self) -> str:
        """For AsyncWebClient(base_url=...)."""
        return f"{self.address}/api/"

    @property
    def page_url(self) -> str:
        """The page for the browser."""
        return f"{self.address}/"

    async def start(self) -> None:
        """Listen."""
        application = web.Application(middlewares=[self._refuse_in_outage])
        application.add_routes(self._web_api.routes())
        application.add_routes(self.sockets.routes())
        application.add_routes(self._response_urls.routes())
        application.add_routes(self._page_api.routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        self._workspace.address = f"http://{self._host}:{self._port}"

    async def __aenter__(self) -> LocalSlack:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close every connection. What still waits for an answer gets none."""
        await self._events.stop()
        self.faults.stop()
        self.sockets.drop_all()
        await self._page_api.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    # The app

    def grant(self, scopes: Iterable[str]) -> None:
        """From now on the bot token may do this, as after the app was installed anew."""
        self._workspace.scopes = frozenset(scopes)

    def token_of_another_app(self, app: str) -> str:
        """An app-level token of somebody else's app, given its id. It connects, and nothing is sent to it."""
        token = f"xapp-1-{app}-{secrets.randbelow(10**12)}-{secrets.token_hex(32)}"
        self._workspace.other_apps[token] = app
        return token

    # People

    def person(self, name_or_id: str) -> Actor:
        """Somebody to act as."""
        person = self.world.person(name_or_id)
        return Actor(person, self._workspace, self._interactions, self._events)

    # What there is to see

    def messages(self, channel: str, person: str | None = None) -> list[Message]:
        """The root messages of a channel with their threads, oldest first.

        Without `person` what everybody sees; with one, what is ephemeral for them as well.
        """
        viewer = self.world.person(person).id if person else None
        return self.world.messages(self.world.channel(channel), viewer)

    def message(self, channel: str, ts: str) -> Message | None:
        """One message as it is now, even if `deleted`."""
        return self.world.message(self.world.channel(channel), ts)

    def ephemerals(self, person: str) -> list[Message]:
        """Everything that only this person was shown, in any channel, oldest first."""
        viewer = self.world.person(person).id
        found = [
            message
            for channel in self.world.channels.values()
            for message in channel.messages.values()
            if message.ephemeral_for == viewer and not message.deleted
        ]
        return sorted(found, key=lambda message: message.ts)

    def direct_messages(self, person: str) -> list[Message]:
        """What the bot and this person wrote each other."""
        member = self.world.person(person)
        return self.messages(self.world.direct_channel(member.id).id, member.id)

    def views(self, person: str) -> list[View]:
        """The modals that a person has open, the topmost last."""
        return self._workspace.views.stack(self.world.person(person).id)

    def home(self, person: str) -> View | None:
        """The Home tab that the bot published for a person."""
        return self._workspace.views.home(self.world.person(person).id)

    # Waiting and listening

    async def wait_for(self, condition: Callable[[], Seen], timeout: float = 10) -> Seen:
        """Return what `condition` returns once that is true; looked at again after every change.

        Raises NotSeen, with the conversation so far, after `timeout` seconds.
        """
        try:
            return await self._changes.wait_for(condition, timeout)
        except TimeoutError:
            so_far = _transcript(self.world, self.calls)
            raise NotSeen(f"not seen within {timeout} s; so far:\n{so_far}") from None

    # Trouble

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Within the block Slack is out of reach for the bot: HTTP and WebSockets are cut."""
        with self.faults.outage():
            self.sockets.drop_all()
            yield

    def duplicate_next(self, count: int) -> None:
        """Deliver each of the next `count` commands, interactions or events twice."""
        self._delivery.transport.duplicate_next(count)

    def deliver_to(self, url: str, signing_secret: str | None = None) -> None:
        """From now on deliver to a request URL, signed, instead of by Socket Mode."""
        secret = self.signing_secret if signing_secret is None else signing_secret
        deadline = self.sockets.ack_deadline
        self._delivery.transport = HttpMode(url, secret, self.clock, deadline)

    async def challenges(self) -> bool:
        """Whether the request URL is verified, as by "Retry" on the app's page. Not for Socket Mode."""
        assert isinstance(self._delivery.transport, HttpMode), "Socket Mode has no request URL"
        return await self._delivery.transport.challenge()

    # What the app hears of

    async def send_event(self, event: Json) -> Result:
        """Tell the app of any event, such as {"type": "channel_id_changed", ...}."""
        return await self._events.send(event)

    async def run_workflow_step(self, callback_id: str, inputs: Json, by: str | None) -> Execution:
        """Run the app's custom step in a workflow that `by` started. The record fills in later.

        inputs: as the workflow's author wrote them. by: None for a workflow on a schedule.
        The event does not say who that was. But Slack itself fills in the inputs that the manifest
        declares as user_context, and no author can.
        """
        person = None if by is None else self.world.person(by)
        return await self._events.function_executed(callback_id, inputs, person)

    @web.middleware
    async def _refuse_in_outage(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # The page stays: it shows the outage, and is not part of Slack.
        of_the_bot = request.path.startswith(("/api/", "/link/", "/respond/"))
        if self.faults.is_out and of_the_bot:
            return drop(request)
        return await handler(request)


def _transcript(world: World, calls: Sequence[ApiCall]) -> str:
    """What was said so far: every channel in which something was said, and the last calls of the Web API."""
    lines: list[str] = []
    for channel in world.channels.values():
        everything = sorted(channel.messages.values(), key=lambda message: message.ts)
        if everything:
            lines.append(f"#{channel.name}")
        for message in everything:
            lines.extend(_transcribed(world, message))
    if calls:
        lines.append(f"the last Web API calls, of {len(calls)}")
        lines += [f"    {call.method}: {call.error or 'ok'}" for call in calls[-_LAST_CALLS:]]
    return "\n".join(lines) or "nothing was said"


def _transcribed(world: World, message: Message) -> Iterator[str]:
    marks = []
    if message.ephemeral_for:
        marks.append(f"only for {world.people[message.ephemeral_for].name}")
    if message.thread_ts:
        marks.append("in a thread")
    if message.edited:
        marks.append("edited")
    if message.deleted:
        marks.append("deleted")
    author = world.people[message.user].name
    note = f" ({', '.join(marks)})" if marks else ""
    yield f"    {message.ts} {author}{note}: {' | '.join(message.texts())}"
    if message.action_ids():
        yield f"        to press: {', '.join(message.action_ids())}"
