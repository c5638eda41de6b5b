"""response_urls: five messages within 30 minutes of an interaction, with no need of membership."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from aiohttp import web

from bot.sandbox.local_slack.arguments import Arguments
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.faults import Faults
from bot.sandbox.local_slack.identifiers import BOT_ID, BOT_USER_ID, TEAM_ID
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.methods.chat import checked_metadata, checked_thread
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel

USES = 5


@dataclass(slots=True)
class _ResponseUrl:
    channel: Channel
    person: str
    origin: Message | None
    expires: float
    uses: int = 0


class ResponseUrls:
    """Issues and serves them. `lifetime` is in seconds."""

    def __init__(self, workspace: Workspace, faults: Faults, lifetime: float) -> None:
        self.lifetime = lifetime
        self._workspace = workspace
        self._faults = faults
        self._issued: dict[str, _ResponseUrl] = {}

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [web.post("/respond/{kind}/{team}/{secret}", self._handle)]

    def issue(self, kind: str, channel: Channel, person: str, origin: Message | None = None) -> str:
        """An address for answers to what `person` did in `channel`.

        kind: commands or actions. origin: the message that was acted on.
        """
        secret = secrets.token_urlsafe(24)
        expires = self._workspace.clock.now() + self.lifetime
        self._issued[secret] = _ResponseUrl(channel, person, origin, expires)
        return f"{self._workspace.address}/respond/{kind}/{TEAM_ID}/{secret}"

    def respond(self, channel: Channel, person: str, body: Json) -> None:
        """Say what the app answered to a command, in its acknowledgement or afterwards."""
        self._say(_ResponseUrl(channel, person, None, 0), body)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults.strike("response_url", set())
        if fault is None:
            return await self._answer(request)
        return await self._faults.suffer(fault, request, lambda: self._answer(request))

    async def _answer(self, request: web.Request) -> web.Response:
        issued = self._issued.get(request.match_info["secret"])
        if issued is None:
            return _refusal(404, "invalid_url")
        if self._workspace.clock.now() > issued.expires:
            return _refusal(404, "expired_url")
        if issued.uses >= USES:
            return _refusal(404, "used_url")
        try:
            body = await _body(request)
            self._say(issued, body)
        except ApiError as error:
            return _refusal(400, error.code, **error.fields)
        issued.uses += 1
        return web.Response(text="ok")

    def _say(self, issued: _ResponseUrl, body: Json) -> None:
        arguments, world = Arguments(body), self._workspace.world
        if issued.channel.is_archived:
            raise ApiError("is_archived")
        origin = self._current(issued.origin)
        if origin and arguments.flag("delete_original"):
            world.delete(origin)
            return
        content = _content(arguments)
        if origin and arguments.flag("replace_original"):
            world.update(origin, **content)
            return
        in_channel = arguments.text("response_type") == "in_channel"
        world.post(
            issued.channel,
            BOT_USER_ID,
            bot_id=BOT_ID,
            ephemeral_for=None if in_channel else issued.person,
            thread_ts=checked_thread(self._workspace, issued.channel, arguments.text("thread_ts")),
            metadata=checked_metadata(arguments.structure("metadata")) if in_channel else None,
            **content,
        )

    def _current(self, origin: Message | None) -> Message | None:
        if origin is None:
            return None
        channel = self._workspace.world.channels[origin.channel]
        current = self._workspace.world.message(channel, origin.ts)
        return None if current is None or current.deleted else current


async def _body(request: web.Request) -> Json:
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise ApiError("invalid_payload") from None
    if not isinstance(body, dict):
        raise ApiError("invalid_payload")
    return body


def _content(arguments: Arguments) -> Json:
    text, blocks = arguments.text("text"), arguments.structure("blocks")
    if not text and not blocks:
        raise ApiError("no_text")
    return {"text": text, "blocks": checked_blocks(blocks) if blocks else []}


def _refusal(status: int, code: str, **fields: object) -> web.Response:
    return web.json_response({"ok": False, "error": code, **fields}, status=status)
