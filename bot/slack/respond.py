"""Answers to one person: where they clicked, where they typed, or in a form that opens.

They are helpful and never needed: what counts is in the ledger. So a failure is logged, and not raised.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack import pay_form
from bot.slack.card import Message, section
from bot.slack.web_api import act

log = structlog.get_logger()

PATIENCE = 10
"""Seconds for an answer to a response_url."""

OPENS = 1.5
"""Seconds for a form to open: the click that it answers must be acknowledged within three."""

View = dict[str, Any]


def is_slacks(response_url: str, api_url: str) -> bool:
    """Whether a response_url leads to Slack: to its own place for them, or to SLACK_API_URL's, if another.

    As a text and not as a parsed address: up to the first slash all who read addresses agree.
    """
    api = urlsplit(api_url)
    origins = {"https://hooks.slack.com"}
    if api.hostname not in ("slack.com", "www.slack.com"):
        origins.add(f"{api.scheme}://{api.netloc.lower()}")
    return any(response_url.startswith(f"{origin}/") for origin in origins)


async def send(client: AsyncWebClient, response_url: str, message: Message) -> bool:
    """Tell the person alone, where the response_url leads; what they acted on stays. Whether it worked.

    A response_url that is not Slack's is not answered, and no redirect is followed.
    """
    if not is_slacks(response_url, client.base_url):
        log.warning("a response_url was not answered: it is not Slack's")
        return False
    said = {
        "text": message.text,
        "blocks": message.blocks,
        "response_type": "ephemeral",
        "replace_original": False,
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
            session.post(
                response_url,
                json=said,
                allow_redirects=False,
                proxy=client.proxy,
                ssl=True if client.ssl is None else client.ssl,
            ) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        log.warning("response_url failed", error=type(error).__name__)
        return False
    if status != 200:
        log.warning("response_url failed", status=status)
    return status == 200


async def say(client: AsyncWebClient, body: dict[str, Any], text: str) -> None:
    """Answer a click: beside the message, or from the Home tab in a form, which has nowhere else."""
    if url := body.get("response_url"):
        await send(client, str(url), Message(text, [section(text)]))
    elif trigger := body.get("trigger_id"):
        await show(client, str(trigger), pay_form.notice(text))


async def show(client: AsyncWebClient, trigger_id: str, view: View) -> View | None:
    """Open a form; the view that Slack made of it, or None where it did not open."""
    try:
        async with asyncio.timeout(OPENS):
            answer = await act(client, "views.open", trigger_id=trigger_id, view=view)
    except TimeoutError:
        log.warning("a form did not open", error="timeout")
        return None
    if not isinstance(answer, dict):
        log.warning("a form did not open", error=answer.error)
        return None
    opened: View = answer["view"]
    return opened


async def change(client: AsyncWebClient, shown: View, view: View) -> View | None:
    """Change a form that is open, unless it was changed or closed since `shown`; None then."""
    return await _update(client, view, view_id=shown["id"], hash=shown["hash"])


async def replace(client: AsyncWebClient, shown: View, view: View) -> View | None:
    """Change a form that is open, whatever it shows by now; None where it was closed."""
    return await _update(client, view, view_id=shown["id"])


async def _update(client: AsyncWebClient, view: View, **which: str) -> View | None:
    answer = await act(client, "views.update", view=view, **which)
    if not isinstance(answer, dict):
        log.info("a form was not changed", error=answer.error)
        return None
    changed: View = answer["view"]
    return changed
