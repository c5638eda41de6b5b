"""The JSON API of the browser page, and the page's files.

It lets whoever calls it act as anybody, so it answers only to the page itself: the Host header must
be this server's own address (against DNS rebinding), an Origin header must agree with it, and bodies
must be declared as JSON (which other sites cannot send without asking first).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox.local_slack.actor import Actor
from bot.sandbox.local_slack.changes import Change, ChangeKind, Changes
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.events import Events
from bot.sandbox.local_slack.forms import pressed
from bot.sandbox.local_slack.interactions import Interactions, Result, Suggestions
from bot.sandbox.local_slack.messages import Json, Message, interactive_elements
from bot.sandbox.local_slack.page_state import state_for
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.workspace import Workspace

Verb = Callable[[Actor, Json], Awaitable[Result]]

PAGE = Path(__file__).parent / "page"
_UNSEEN = frozenset({ChangeKind.API_CALLED, ChangeKind.CONNECTIONS_CHANGED, ChangeKind.DELIVERY_ENDED})


@dataclass(frozen=True, eq=False)
class PageApi:
    """Serves the page."""

    _workspace: Workspace
    _changes: Changes
    _interactions: Interactions
    _events: Events
    _sockets: set[web.WebSocketResponse] = field(default_factory=set, init=False)

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        verbs: list[tuple[str, Verb, dict[str, type]]] = [
            ("say", self._say, {"channel": str, "text": str}),
            ("action", self._action, {"block_id": str, "action_id": str, "element": dict}),
            (
                "submit",
                lambda actor, body: actor.submits(body["view_id"], body["values"]),
                {"view_id": str, "values": dict},
            ),
            ("close", lambda actor, body: actor.closes(body["view_id"]), {"view_id": str}),
            ("shortcut", lambda actor, body: actor.uses_shortcut(body["callback_id"]), {"callback_id": str}),
            ("home", lambda actor, _: actor.opens_home(), {}),
        ]
        posts = [
            web.post(f"/sandbox/{name}", self._post(verb, {"person": str} | fields))
            for name, verb, fields in verbs
        ]
        return [
            web.get("/", self._file),
            web.get("/page/{name}", self._file),
            web.get("/sandbox/state", self._state),
            web.get("/sandbox/live", self._live),
            web.post("/sandbox/look_for", self._look_for),
            *posts,
        ]

    async def stop(self) -> None:
        """Close the pages' sockets."""
        for socket in tuple(self._sockets):
            await socket.close()

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._check_origin(request)
        path = PAGE / request.match_info.get("name", "index.html")
        if path.parent != PAGE or not path.is_file():
            raise web.HTTPNotFound
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=headers | {"X-Frame-Options": "DENY"})

    async def _state(self, request: web.Request) -> web.Response:
        self._check_origin(request)
        actor = self._actor(request.query.get("person"))
        return web.json_response(state_for(self._workspace, actor.id), headers={"Cache-Control": "no-store"})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        self._check_origin(request)
        socket = web.WebSocketResponse(heartbeat=30, timeout=1)
        await socket.prepare(request)
        changed = asyncio.Event()

        def note(change: Change) -> None:
            if change.kind not in _UNSEEN:
                changed.set()

        stop = self._changes.on_change(note)
        telling = asyncio.create_task(_tell(socket, changed))
        self._sockets.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            self._sockets.discard(socket)
            stop()
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
        return socket

    async def _look_for(self, request: web.Request) -> web.StreamResponse:
        """What the app suggests for what is typed into a menu; nothing where its view is gone."""
        self._check_origin(request)
        fields: dict[str, type] = dict.fromkeys(("person", "view_id", "action_id", "typed"), str)
        body = await _read(request, fields)
        try:
            found = await self._actor(body["person"]).looks_for(
                body["view_id"], body["action_id"], body["typed"]
            )
        except NotThere:
            found = Suggestions([])
        return web.json_response({"ok": True, "options": found.options})

    def _post(self, verb: Verb, fields: dict[str, type]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._check_origin(request)
            body = await _read(request, fields)
            try:
                result = await verb(self._actor(body["person"]), body)
            except NotThere as refusal:
                result = Result(False, str(refusal))
            answer: Json = {"ok": result.ok}
            if result.error:
                answer["error"] = result.error
            if result.errors:
                answer["errors"] = result.errors
            return web.json_response(answer)

        return handle

    async def _say(self, actor: Actor, body: Json) -> Result:
        thread_ts = body.get("thread_ts")
        if body["text"].startswith("/"):
            return await actor.types(body["channel"], body["text"], thread_ts)
        await actor.says(body["channel"], body["text"], thread_ts)
        return Result(True)

    async def _action(self, actor: Actor, body: Json) -> Result:
        view_id, ts = body.get("view_id"), body.get("message_ts")
        target: Message | View = actor.view(view_id) if view_id else actor.message(str(ts))
        place = {"action_id": body["action_id"], "block_id": body["block_id"]}
        for block_id, element in interactive_elements(target.blocks):
            if (block_id, element["action_id"]) == (place["block_id"], place["action_id"]):
                pressed_button = pressed(element, None) if element["type"] == "button" else {}
                action = body["element"] | {"type": element["type"]} | pressed_button | place
                return await actor.acts(target, action, body.get("values") or {})
        raise NotThere("this is not there any more")

    def _actor(self, identifier: str | None) -> Actor:
        people = self._workspace.world.people
        if identifier is None:
            person = next(each for each in people.values() if not each.is_bot)
        elif identifier in people and not people[identifier].is_bot:
            person = people[identifier]
        else:
            raise web.HTTPNotFound(text="there is nobody with this id")
        return Actor(person, self._workspace, self._interactions, self._events)

    def _check_origin(self, request: web.Request) -> None:
        own = self._workspace.address
        port = own.rpartition(":")[2]
        hosts = {own.removeprefix("http://"), f"localhost:{port}", f"127.0.0.1:{port}"}
        origin = request.headers.get("Origin", f"http://{request.host}")
        if request.host not in hosts or origin != f"http://{request.host}":
            raise web.HTTPForbidden(text="this page is not for other sites")


async def _read(request: web.Request, fields: dict[str, type]) -> Json:
    """The JSON body, in which `fields` are there and of their types."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="application/json only")
    try:
        body = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="this is no JSON") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="this is no JSON object")
    for name, kind in fields.items():
        if not isinstance(body.get(name), kind):
            raise web.HTTPBadRequest(text=f"{name} is missing or not a {kind.__name__}")
    return body


async def _tell(socket: web.WebSocketResponse, changed: asyncio.Event) -> None:
    """Say that something changed, once for everything that changed meanwhile."""
    while True:
        await changed.wait()
        changed.clear()
        with suppress(ConnectionError):
            await socket.send_json({"type": "changed"})
        await asyncio.sleep(0.05)
