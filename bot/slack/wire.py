"""Calls of Slack's Web API, and what their failures mean. "May have arrived" and "did not" are different.

slack_sdk's own connection retry is off: it sent one chat.postMessage twice when the server dropped the
connection after receiving it. Retrying is the announcer's, which looks first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

Client = AsyncWebClient
"""What calls Slack's Web API."""

TIMEOUT = 15
"""Seconds for one call."""


def web_client(token: str, base_url: str) -> AsyncWebClient:
    """The client for everything that is posted."""
    base = base_url if base_url.endswith("/") else base_url + "/"
    return AsyncWebClient(token=token, base_url=base, timeout=TIMEOUT, retry_handlers=[])


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


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. after: seconds to wait, None where Slack did not say. ambiguous: it may have arrived."""

    error: str
    after: float | None
    ambiguous: bool


Answer = Posted | Rejected | Later

_NOT_NOW = frozenset(
    {
        "access_denied",
        "account_inactive",
        "accesslimited",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "fatal_error",
        "internal_error",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "ratelimited",
        "rate_limited",
        "request_timeout",
        "service_unavailable",
        "team_access_not_granted",
        "team_added_to_org",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
"""What time or an operator mends: Slack's own trouble, and the token's. Any other word, also one that
nobody has seen yet, is a no for good, so that no reply waits for ever behind it."""

_MAY_HAVE_ARRIVED = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Answers that leave open whether the message was posted."""


_NOT_FOR_US = frozenset({"missing_scope", "access_denied"})
"""A history that the app may not read."""


async def call(client: AsyncWebClient, method: str, **arguments: Any) -> Answer:
    """Post or update a message, once."""
    answer = await _once(client, method, json=arguments)
    if not isinstance(answer, dict):
        return answer
    if "ts" not in answer:
        return Later("no ts in the answer", None, ambiguous=True)
    return Posted(str(answer["ts"]))


async def act(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    """Do something that posts no message, once."""
    return await _once(client, method, json=arguments)


async def read(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    """Read something. As a GET: Slack takes no JSON there, and aiohttp asks once more if it was cut off."""
    answer = await _once(client, method, http_verb="GET", params=arguments)
    if isinstance(answer, Later) and answer.error in _NOT_FOR_US:
        return Rejected(answer.error)
    return answer


async def _once(client: AsyncWebClient, method: str, **arguments: Any) -> dict[str, Any] | Rejected | Later:
    try:
        response = await client.api_call(method, **arguments)
    except SlackApiError as error:
        return _refused(error)
    except aiohttp.ClientConnectorError as error:
        return Later(type(error).__name__, None, ambiguous=False)
    except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as error:
        return Later(type(error).__name__, None, ambiguous=True)
    except AttributeError:
        # slack_sdk trips over an answer that is no JSON object, such as a proxy's page.
        return Later("the answer is not Slack's", None, ambiguous=True)
    assert isinstance(response.data, dict), "bug: a JSON method answered with bytes"
    return response.data


def _refused(error: SlackApiError) -> Rejected | Later:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or 0)
    if status == 429:
        wanted = retry_after(response)
        return Later("ratelimited", 1.0 if wanted is None else max(wanted, 0.1), ambiguous=False)
    data = response.data if isinstance(getattr(response, "data", None), dict) else {}
    word = str(data.get("error") or f"http_{status}")
    if "error" in data and word not in _NOT_NOW:
        return Rejected(word)
    ambiguous = word in _MAY_HAVE_ARRIVED or "error" not in data
    return Later(word, None, ambiguous=ambiguous)


def retry_after(response: Any) -> float | None:
    """Seconds for which Slack wants to be left alone, at most ten minutes; None where it says none."""
    try:
        return min(float({str(k).lower(): v for k, v in response.headers.items()}["retry-after"]), 600.0)
    except (KeyError, ValueError):
        return None
