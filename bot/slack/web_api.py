"""Calls of Slack's Web API, and what their failures mean. "May have arrived" and "did not" are different.

Only a word that Slack itself is known to say, and that time does not mend, is a no for good. Everything
else is "later": a gateway's page, a status that is not 200, a word that nobody has seen yet. So an ailing
Slack costs time, and never a reply.

The calls are made here and not by slack_sdk, which follows redirects with the whole body, repeats a post
whose answer it did not get, and trips over answers that are no JSON object. Retrying is the announcer's,
which looks first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.metrics import SLACK_CALLS

Client = AsyncWebClient
"""What calls Slack's Web API."""

TIMEOUT = 15
"""Seconds for one call."""

_LONGEST_ANSWER = 16 * 1024 * 1024
"""Bytes. Two hundred messages of a history with their blocks are a few million."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,79}", re.ASCII)
"""What Slack's errors look like. Whatever else a gateway writes there goes into no log, ledger or message."""

_LONGEST_REST = 600.0
"""Seconds for which Slack may ask to be left alone."""


def web_client(token: str, base_url: str) -> Client:
    """The client for everything that is asked of Slack or told to it."""
    base = base_url if base_url.endswith("/") else base_url + "/"
    return AsyncWebClient(token=token, base_url=base, timeout=TIMEOUT, retry_handlers=[])


def proxy_to(client: Client, url: str) -> str | None:
    """The proxy that leads to an address; slack_sdk takes the environment's also where NO_PROXY says none."""
    return None if proxy_bypass(urlsplit(url).hostname or "") else client.proxy


@dataclass(frozen=True, slots=True)
class Workspace:
    """What auth.test says: the one team this bot belongs to, its address, and the bot's own names."""

    team: str
    url: str
    bot_user: str
    bot_id: str
    bot_name: str


@dataclass(frozen=True, slots=True)
class Posted:
    """Slack has it, under this ts."""

    ts: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Slack will not have it, now or later; `error` is Slack's word for why."""

    error: str
    after: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. after: seconds to wait, None where Slack did not say. ambiguous: it may have arrived."""

    error: str
    after: float | None
    ambiguous: bool


NOT_SLACKS = Later("the answer is not Slack's", None, ambiguous=True)
"""What answered is not Slack, or does not say what it should."""

Answer = Posted | Rejected | Later

CONTENT = frozenset(
    {
        "attachment_payload_limit_exceeded",
        "invalid_arguments",  # a bug of ours in what is said; with less in it, it is taken
        "invalid_attachments",  # what Slack makes of a table
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "markdown_text_conflict",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
"""What is said will not do; in other words it would. Never a reason to tell somebody nothing."""

_NO_PLACE = frozenset(
    {
        "cannot_dm_bot",
        "cannot_reply_to_message",  # what it should stand under is a reply itself
        "channel_not_found",  # also a private channel that the bot is not in
        "channel_type_not_supported",
        "is_archived",
        "not_in_channel",
        "restricted_action",  # the channel's own rules say who may post
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "thread_locked",
        "thread_not_found",
        "user_disabled",
        "user_not_found",
        "user_not_visible",
    }
)
"""There is no posting there. The requester is told in another way at once, so nobody waits for days."""

_UNREADABLE = frozenset(
    {
        "access_denied",
        "channel_not_found",  # so answers a person's id, which stands for direct messages
        "channel_type_not_supported",
        "method_not_supported_for_channel_type",
        "missing_scope",  # the scopes for it are optional
        "no_permission",
        "not_in_channel",
        "thread_not_found",
    }
)
"""A history that the app may not read, or that is not there."""

_RUN_IS_OVER = frozenset(
    {
        "execution_not_in_running_state",  # cancelled, or told before and the answer was lost
        "function_execution_not_found",
    }
)

NO_UPDATE = frozenset(
    {
        "cant_update_message",  # it is somebody else's
        "edit_window_closed",  # the team's setting
        "message_not_found",  # somebody deleted it
    }
)
"""A message that can no longer be changed, or is gone."""

FINAL: Mapping[str, frozenset[str]] = {
    "chat.postMessage": CONTENT | _NO_PLACE,
    # An archived channel or one that the bot was taken from may come back, so those are not final here: the
    # card stands, and its buttons must go.
    "chat.update": CONTENT | NO_UPDATE,
    "conversations.history": _UNREADABLE,
    "conversations.replies": _UNREADABLE,
    "functions.completeSuccess": _RUN_IS_OVER,
    "functions.completeError": _RUN_IS_OVER,
}
"""The words that are a no for good, by method. Any other word, and any other method's, is "later"."""

WRONG_TOKEN = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "token_expired",
        "token_revoked",
    }
)
"""What Slack answers to a token that only an operator mends. Not for good either: it may be mended."""

_NOT_DONE = WRONG_TOKEN | {
    "accesslimited",
    "access_denied",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "external_channel_migrating",
    "message_limit_exceeded",
    "messages_tab_disabled",  # the app's setting, which an operator mends
    "org_login_required",
    "rate_limited",
    "ratelimited",
    "team_access_not_granted",
    "team_added_to_org",
    "team_not_found",
    "two_factor_setup_required",
}
"""Not now, and certainly nothing was posted. After any other word, it may stand there all the same."""


async def post_message(client: Client, method: str, **arguments: Any) -> Answer:
    """Post a message or update one, once."""
    answer = await _once(client, method, json=arguments)
    if not isinstance(answer, dict):
        return answer
    ts = answer.get("ts")
    if not isinstance(ts, str) or not ts:
        return Later("no ts in the answer", None, ambiguous=True)
    return Posted(ts)


async def write(client: Client, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    """Change something that is no message, once."""
    return await _once(client, method, json=arguments)


async def open_connection(client: Client, app_token: str) -> str | Rejected | Later:
    """Ask for the address of a Socket Mode connection, which takes the app's own token.

    It is good for one connection, and not for long.
    """
    answer = await _once(client, "apps.connections.open", token=app_token)
    if not isinstance(answer, dict):
        return answer
    address = answer.get("url")
    return address if isinstance(address, str) else NOT_SLACKS


async def query(client: Client, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    """Read something. As a GET: Slack takes no JSON there, and aiohttp asks once more if it was cut off."""
    return (await query_with_headers(client, method, **arguments))[0]


async def query_with_headers(
    client: Client, method: str, **arguments: Any
) -> tuple[dict[str, Any] | Rejected | Later, Mapping[str, str]]:
    """The same, with the answer's headers; none where there was no answer."""
    plain = {name: int(value) if isinstance(value, bool) else value for name, value in arguments.items()}
    return await _exchange(client, method, verb="GET", params=plain)


async def _once(client: Client, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    return (await _exchange(client, method, **arguments))[0]


async def _exchange(
    client: Client, method: str, **arguments: Any
) -> tuple[dict[str, Any] | Rejected | Later, Mapping[str, str]]:
    answer, headers = await _exchanged(client, method, **arguments)
    SLACK_CALLS.labels(method, _counted(answer)).inc()
    return answer, headers


def _counted(answer: dict[str, Any] | Rejected | Later) -> str:
    if isinstance(answer, Later):
        return "ratelimited" if answer.error == "ratelimited" else "failed"
    return "refused" if isinstance(answer, Rejected) else "ok"


async def _exchanged(
    client: Client, method: str, *, token: str | None = None, verb: str = "POST", **arguments: Any
) -> tuple[dict[str, Any] | Rejected | Later, Mapping[str, str]]:
    headers = {**client.headers, "Authorization": f"Bearer {token or client.token}"}
    kind = "application/json; charset=utf-8" if "json" in arguments else "application/x-www-form-urlencoded"
    headers["Content-Type"] = kind
    limit = aiohttp.ClientTimeout(total=client.timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.request(
                verb,
                client.base_url + method,
                headers=headers,
                proxy=proxy_to(client, client.base_url),
                ssl=True if client.ssl is None else client.ssl,
                allow_redirects=False,
                **arguments,
            ) as response,
        ):
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _LONGEST_ANSWER:
                    return Later("the answer is too long", None, ambiguous=True), {}
            return _understood(method, response.status, response.headers, body), response.headers
    except aiohttp.ClientConnectorError as error:
        return Later(type(error).__name__, None, ambiguous=False), {}
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Later(type(error).__name__, None, ambiguous=True), {}


def _understood(
    method: str, status: int, headers: Mapping[str, str], body: bytes
) -> dict[str, Any] | Rejected | Later:
    """What an answer means. Slack says no with status 200; with another, nobody knows who speaks."""
    if status == 429:
        return Later("ratelimited", retry_after(headers), ambiguous=False)
    if status != 200:
        return Later(f"http_{status}", retry_after(headers), ambiguous=True)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        return NOT_SLACKS
    if answer.get("ok") is True:
        return answer
    word = answer.get("error")
    if answer.get("ok") is not False or not is_word(word):
        return NOT_SLACKS
    if word in FINAL.get(method, ()):
        return Rejected(word)
    return Later(word, None, ambiguous=word not in _NOT_DONE)


def is_word(said: object) -> TypeGuard[str]:
    """Whether it is written as Slack's words for why are: of anything else nothing is handed on."""
    return isinstance(said, str) and _WORD.fullmatch(said) is not None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds for which Slack wants to be left alone, within reason; None where it names no such number."""
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(max(seconds, 0.1), _LONGEST_REST)
