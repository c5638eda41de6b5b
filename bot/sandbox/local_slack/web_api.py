"""The Web API over HTTP: /api/METHOD, with tokens, scopes, rate limits, faults and a log of calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from bot.sandbox.local_slack.arguments import Arguments, read_arguments
from bot.sandbox.local_slack.changes import ChangeKind, Clock
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.faults import UNANSWERED, Faults, too_many_requests
from bot.sandbox.local_slack.identifiers import APP_ID
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.methods import METHODS
from bot.sandbox.local_slack.methods.method import Context, Method
from bot.sandbox.local_slack.workspace import Workspace

_EVERYWHERE = frozenset({"team_id"})
"""Needed only with the token of a whole organization; slack_sdk adds it to every call."""


@dataclass(slots=True)
class ApiCall:
    """One call as it was received.

    at: seconds since the epoch. arguments: without the token. ok: whether it took effect.
    error: Slack's code, or the fault that kept the call from taking effect. answered: whether the
    caller got to know.
    """

    at: float
    method: str
    arguments: dict[str, Any]
    ok: bool = False
    error: str | None = None
    answered: bool = True


class WebApi:
    """Serves the Web API. `calls` is the log, the oldest first."""

    def __init__(
        self, workspace: Workspace, faults: Faults, *, enforce_rate_limits: bool, message_burst: int
    ) -> None:
        self.calls: list[ApiCall] = []
        self.enforce_rate_limits = enforce_rate_limits
        self._workspace = workspace
        self._faults = faults
        self._rate_limits = RateLimits(workspace.clock, message_burst)

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [web.route("*", "/api/{method}", self._handle)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        try:
            values = await read_arguments(request)
        except ApiError as error:
            return self._error(request, error)
        token = _token(request, values, name)
        call = ApiCall(self._workspace.clock.now(), name, values)
        self.calls.append(call)
        fault = self._faults.strike(name, self._channel_names(values))
        try:
            if fault is None:
                return await self._answer(request, call, token)
            call.error = fault.mode
            call.answered = fault.mode not in UNANSWERED
            return await self._faults.suffer(fault, request, lambda: self._answer(request, call, token))
        finally:
            self._workspace.world.announce(ChangeKind.API_CALLED, subject=name, text=call.error or "ok")

    async def _answer(self, request: web.Request, call: ApiCall, token: str) -> web.Response:
        try:
            method = METHODS.get(call.method)
            if method is None:
                raise ApiError("unknown_method", req_method=call.method)
            if self.enforce_rate_limits:
                wait = self._rate_limits.take(
                    call.method, str(call.arguments.get("channel", "")), method.tier
                )
                if wait:
                    call.error = "ratelimited"
                    return too_many_requests(wait)
            fields = self._run(method, call.arguments, token)
        except ApiError as error:
            call.error = error.code
            return self._error(request, error)
        call.ok, call.error = True, None
        return web.json_response({"ok": True, **fields}, headers=self._headers(method))

    def _run(self, method: Method, values: dict[str, Any], token: str) -> Json:
        self._authenticate(method, token)
        arguments = Arguments(values)
        context = Context(self._workspace, arguments, self._workspace.other_apps.get(token, APP_ID))
        if method.scope:
            context.require_scope(method.scope)
        unknown = sorted(arguments.names() - method.arguments - _EVERYWHERE)
        if unknown:
            messages = [f"the local Slack does not implement the argument {name}" for name in unknown]
            raise ApiError.with_messages("invalid_arguments", messages)
        return method.run(context)

    def _authenticate(self, method: Method, token: str) -> None:
        if method.token == "none":  # noqa: S105 - a kind of token
            return
        if not token:
            raise ApiError("not_authed")
        bot_tokens = {self._workspace.bot_token, *self._workspace.workflow_tokens()}
        if token not in bot_tokens | {self._workspace.app_token} | self._workspace.other_apps.keys():
            raise ApiError("invalid_auth")
        if (token in bot_tokens) != (method.token == "bot"):  # noqa: S105
            raise ApiError("not_allowed_token_type")

    def _error(self, request: web.Request, error: ApiError) -> web.Response:
        method = METHODS.get(request.match_info["method"])
        return web.json_response(
            {"ok": False, "error": error.code, **error.fields}, headers=self._headers(method)
        )

    def _headers(self, method: Method | None) -> dict[str, str]:
        date = {"Date": formatdate(self._workspace.clock.now(), usegmt=True)}
        if method is None or method.token != "bot":  # noqa: S105
            return date
        return date | {
            "X-OAuth-Scopes": ",".join(sorted(self._workspace.scopes)),
            "X-Accepted-OAuth-Scopes": method.scope or "",
        }

    def _channel_names(self, values: dict[str, Any]) -> set[str]:
        named = str(values.get("channel", "")).removeprefix("#")
        channel = self._workspace.world.channels.get(named)
        return {named, channel.name} if channel else {named}


def _token(request: web.Request, values: dict[str, Any], method: str) -> str:
    """The token of a call, taken out of its arguments so that no log holds it."""
    in_body = values.pop("token", "")
    kind, _, in_header = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and in_header:
        return in_header.strip()
    # apps.connections.open and JSON bodies take the token in the header only.
    if method == "apps.connections.open" or request.content_type == "application/json":
        return ""
    return str(in_body)


MESSAGES_PER_SECOND = 1.0
MESSAGE_BURST = 5
"""How many messages at once a channel tolerates. Slack promises no number."""


class Bucket:
    """Holds up to `burst` tokens and gains `rate` a second."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._counted_at = clock.now()

    def take(self) -> int:
        """Take one token: 0 if there was one, else the seconds after which to come back."""
        now = self._clock.now()
        gained = (now - self._counted_at) * self._rate
        self._tokens, self._counted_at = min(self._burst, self._tokens + gained), now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return math.ceil((1 - self._tokens) / self._rate)


class RateLimits:
    """Slack's rate limits: about one message a second per channel, and a tier for every method."""

    def __init__(self, clock: Clock, message_burst: int = MESSAGE_BURST) -> None:
        self._clock = clock
        self._message_burst = message_burst
        self._buckets: dict[str, Bucket] = {}

    def take(self, method: str, channel: str, tier: int) -> int:
        """Count a call: 0 if it may pass, else Retry-After in seconds."""
        if method == "chat.postMessage":
            return self._bucket(f"{method} {channel}", MESSAGES_PER_SECOND, self._message_burst).take()
        return self._bucket(method, tier / 60, tier).take()

    def _bucket(self, name: str, rate: float, burst: float) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = Bucket(self._clock, rate, burst)
        return self._buckets[name]
