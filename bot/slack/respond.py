"""Answers to one person: where they clicked, where they typed, or in a form that opens.

They are helpful and never needed: what counts is in the ledger. So a failure is logged, and not raised.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from bot.slack.blocks import Message, View, paragraph, showing
from bot.slack.listing import fitting
from bot.slack.web_api import NOT_SLACKS, Client, proxy_to, write

log = structlog.get_logger()

RESPOND_TIMEOUT_S = 10
"""For an answer to a response_url."""

RESPOND_AGAIN_S = (0.5, 3.0)
"""Seconds until it is tried again where Slack was not there. It takes five answers a response_url."""

ALL_THAT_SLACK_TAKES = (
    "That is all of my answer that Slack takes; the people who run this bot find why in its log."
)

_GOVERNMENT = ("slack-gov.com", "www.slack-gov.com")
"""Where GovSlack has its API; it is a Slack of its own."""

_LONGEST_ANSWER = 64 * 1024
"""Bytes. Slack says `ok`, or in a few words why not."""

_AS_TEXT = 3_500
"""Characters of what is told as text alone."""

OPEN_TIMEOUT_S = 1.5
"""For a form to open: the click that it answers must be acknowledged within three seconds."""


def is_slacks(response_url: str, api_url: str) -> bool:
    """Whether a response_url leads to Slack: to its own place for them, or to SLACK_API_URL's, if another.

    As a text and not as a parsed address: up to the first slash all who read addresses agree.
    """
    api = urlsplit(api_url)
    origins = {"https://hooks.slack.com"}
    if api.hostname in _GOVERNMENT:
        origins = {"https://hooks.slack-gov.com"}
    elif api.hostname not in ("slack.com", "www.slack.com"):
        origins.add(f"{api.scheme}://{api.netloc.lower()}")
    return any(response_url.startswith(f"{origin}/") for origin in origins)


async def respond(client: Client, response_url: str, message: Message, *, instead: bool = False) -> bool:
    """Tell the person alone, where the response_url leads. Whether it worked.

    instead: of what they acted on, which stays otherwise.

    In place of Bolt's: a response_url that is not Slack's is not answered, no redirect is followed, and where
    Slack is not there it is tried again. Whoever waits rather sees it twice than never.
    """
    if not is_slacks(response_url, client.base_url):
        log.warning("a response_url was not answered: it is not Slack's")
        return False
    told = {
        "text": message.text,
        "blocks": message.blocks,
        "response_type": "ephemeral",
        "replace_original": instead,
    }
    for wait in (0.0, *RESPOND_AGAIN_S):
        await asyncio.sleep(wait)
        failure, again = await _post(client, response_url, told)
        if failure is None:
            return True
        if failure == HTTPStatus.BAD_REQUEST and told["blocks"]:
            # Something in it is more than Slack takes. Never a reason to tell somebody nothing.
            log.error("response_url takes the text alone", error=failure)
            lines = [*fitting(message.text.split("\n"), _AS_TEXT), ALL_THAT_SLACK_TAKES]
            failure, again = await _post(
                client, response_url, told | {"text": "\n".join(lines), "blocks": []}
            )
            if failure is None:
                return True
        log.warning("response_url failed", error=failure)
        if not again:
            return False
    return False


async def _post(client: Client, url: str, told: dict[str, Any]) -> tuple[int | str | None, bool]:
    """What was wrong, None where nothing was; and whether that may be over soon."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=RESPOND_TIMEOUT_S)) as session,
            session.post(
                url,
                json=told,
                allow_redirects=False,
                proxy=proxy_to(client, url),
                ssl=True if client.ssl is None else client.ssl,
            ) as answer,
        ):
            if answer.status == HTTPStatus.OK:
                return _why_not(await _beginning(answer)), False
            return answer.status, answer.status == 429 or answer.status >= 500
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__, True


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    try:
        return await answer.content.readexactly(_LONGEST_ANSWER)
    except asyncio.IncompleteReadError as all_of_it:
        return all_of_it.partial


def _why_not(body: bytes) -> int | str | None:
    """What is wrong where somebody answers with 200; None where it is Slack, who says no more than ok."""
    if body.strip() in (b"", b"ok"):
        return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
        return NOT_SLACKS.error
    return None if said["ok"] else HTTPStatus.BAD_REQUEST


async def respond_to(client: Client, body: dict[str, Any], told: Message | str) -> None:
    """Answer a click: beside the message, or from the Home tab in a form, which has nowhere else."""
    message = paragraph(told) if isinstance(told, str) else told
    if url := body.get("response_url"):
        await respond(client, str(url), message)
    elif trigger := body.get("trigger_id"):
        await open_view(client, str(trigger), showing(message))


async def open_view(client: Client, trigger_id: str, view: View) -> View | None:
    """Open a form; the view that Slack made of it, or None where it did not open."""
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            answer = await write(client, "views.open", trigger_id=trigger_id, view=view)
    except TimeoutError:
        log.warning("a form did not open", error="timeout")
        return None
    if not isinstance(answer, dict):
        log.warning("a form did not open", error=answer.error)
        return None
    return _shown(answer)


async def update_view(client: Client, shown: View, view: View, *, unless_changed: bool) -> View | None:
    """Change a form that is open; None where it was closed.

    unless_changed: and where it shows something else by now than `shown`.
    """
    as_shown = {"hash": shown["hash"]} if unless_changed else {}
    answer = await write(client, "views.update", view=view, view_id=shown["id"], **as_shown)
    if not isinstance(answer, dict):
        log.info("a form was not changed", error=answer.error)
        return None
    return _shown(answer)


def _shown(answer: dict[str, Any]) -> View | None:
    """The view in an answer; None where it holds none that could be changed later."""
    view = answer.get("view")
    if isinstance(view, dict) and all(isinstance(view.get(name), str) for name in ("id", "hash")):
        return view
    log.warning("Slack does not say which form it shows")
    return None
