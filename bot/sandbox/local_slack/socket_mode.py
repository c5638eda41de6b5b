"""Socket Mode: envelopes over WebSockets, each to exactly one connection, acknowledged in time."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.errors import NotDelivered
from bot.sandbox.local_slack.identifiers import APP_ID
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.workspace import Workspace

MOST_CONNECTIONS = 10
_LIFETIME = 18_060
"""approximate_connection_time, in seconds, as Slack says it."""


@dataclass(eq=False, slots=True)
class Connection:
    """A registered connection. A ghost has no socket: what is sent to it is lost."""

    socket: web.WebSocketResponse | None
    transport: asyncio.Transport | None = None

    async def send(self, message: Json) -> None:
        """Put a message on the wire, or into the void."""
        if self.socket is not None:
            with suppress(ConnectionError):
                await self.socket.send_str(json.dumps(message))


class SocketMode:
    """Every connection of the app. `ack_deadline` and `ping_interval` are in seconds."""

    def __init__(self, workspace: Workspace, ack_deadline: float, ping_interval: float) -> None:
        self.ack_deadline = ack_deadline
        self._workspace = workspace
        self._ping_interval = ping_interval
        self._rotation: deque[Connection] = deque()
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._sent_to: dict[str, set[Connection]] = {}
        self._duplicates = 0
        self.misplaced = 0
        """Acknowledgements that came by another connection than their envelope had gone to."""

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [web.get("/link/", self._serve)]

    @property
    def connections(self) -> int:
        """How many are registered, ghosts included."""
        return len(self._rotation)

    def add_ghosts(self, count: int = 1) -> None:
        """Register dead connections. They are next in turn: the next `count` envelopes are lost."""
        self._rotation.extendleft(Connection(None) for _ in range(count))
        self._announce()

    def remove_ghosts(self) -> None:
        """Slack has noticed that they are dead."""
        self._rotation = deque(each for each in self._rotation if each.socket)
        self._announce()

    def expire_addresses(self) -> None:
        """Refuse every address that was handed out and not used, as Slack does after a while."""
        self._workspace.tickets.clear()

    def duplicate_next(self, count: int) -> None:
        """Deliver each of the next `count` envelopes twice."""
        self._duplicates += count

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every connection to reconnect: `warning` comes about 10 s ahead of the end, with any
        other reason the socket is closed right after."""
        await self._disconnect(tuple(self._rotation), reason)

    async def refresh(self, ahead: float = 10.0, closing: float = 5.0) -> None:
        """Replace every connection of now, as Slack does every few hours.

        For `ahead` seconds after the warning they still get envelopes; for another `closing` seconds
        their acknowledgements still count; then they are closed.
        """
        old = tuple(self._rotation)
        await self._disconnect(old, "warning")
        await asyncio.sleep(ahead)
        await self._disconnect(old, "refresh_requested", closing)

    async def _disconnect(self, old: Sequence[Connection], reason: str, closing: float = 0.0) -> None:
        for connection in old:
            await connection.send(_disconnect(reason))
            if reason != "warning" and connection.socket is not None:
                self._forget(connection)
        if reason != "warning":
            await asyncio.sleep(closing)
            await asyncio.gather(*(each.socket.close() for each in old if each.socket is not None))

    def drop_all(self) -> None:
        """Cut every connection, as an outage does."""
        for connection in tuple(self._rotation):
            if connection.transport is not None:
                connection.transport.abort()
            self._forget(connection)

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Send one envelope and return the payload of its acknowledgement.

        kind: slash_commands, interactive or events_api. attempt, reason: of a repeated event.
        Raises NotDelivered: dispatch_failed without any connection, operation_timeout without ack.
        """
        if not self._rotation:
            raise NotDelivered("dispatch_failed", "connection_failed")
        envelope: Json = {
            "envelope_id": str(uuid.uuid4()),
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        acknowledged: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = acknowledged
        self._sent_to[envelope["envelope_id"]] = set()
        try:
            async with asyncio.timeout(self.ack_deadline):
                await self._send_to_next(envelope)
                if self._duplicates and self._rotation:
                    self._duplicates -= 1
                    await self._send_to_next(envelope)
                return await acknowledged
        except TimeoutError:
            raise NotDelivered("operation_timeout", "timeout") from None
        finally:
            del self._waiting[envelope["envelope_id"]]
            del self._sent_to[envelope["envelope_id"]]

    async def _send_to_next(self, envelope: Json) -> None:
        connection = self._rotation[0]
        self._rotation.rotate(-1)
        self._sent_to[envelope["envelope_id"]].add(connection)
        await connection.send(envelope)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._workspace.tickets:
            raise web.HTTPForbidden(text="invalid ticket")
        app = self._workspace.tickets.pop(ticket)
        socket = web.WebSocketResponse(heartbeat=self._ping_interval, timeout=1)
        await socket.prepare(request)
        if app != APP_ID:
            await socket.send_str(json.dumps(_hello(app, 1)))
            async for _ in socket:
                pass  # nothing is ever sent to that app
            return socket
        if len(self._rotation) >= MOST_CONNECTIONS:
            await socket.send_str(json.dumps(_disconnect("too_many_websockets")))
            await socket.close()
            return socket
        connection = Connection(socket, request.transport)
        self._rotation.append(connection)
        await connection.send(_hello(APP_ID, self.connections))
        self._announce()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledge(connection, json.loads(message.data))
        finally:
            self._forget(connection)
        return socket

    def _acknowledge(self, connection: Connection, message: Json) -> None:
        envelope = message.get("envelope_id", "")
        waiting = self._waiting.get(envelope)
        self.misplaced += connection not in self._sent_to.get(envelope, {connection})
        if waiting is not None and not waiting.done():
            payload = message.get("payload")
            waiting.set_result(payload if isinstance(payload, dict) else {})

    def _forget(self, connection: Connection) -> None:
        if connection in self._rotation:
            self._rotation.remove(connection)
            self._announce()

    def _announce(self) -> None:
        self._workspace.world.announce(ChangeKind.CONNECTIONS_CHANGED, text=f"{self.connections} connections")


def _hello(app: str, connections: int) -> Json:
    return {
        "type": "hello",
        "num_connections": connections,
        "connection_info": {"app_id": app},
        "debug_info": {
            "host": "applink-sandbox",
            "build_number": 1,
            "approximate_connection_time": _LIFETIME,
        },
    }


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}}
