"""Answers to one person: where they clicked, where they typed, or in a form that opens.

They are helpful and never needed: what counts is in the ledger. So a failure is logged, and not raised.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack import forms
from bot.slack.messages import Message, section
from bot.slack.wire import act

log = structlog.get_logger()

PATIENCE = 10
"""Seconds for an answer to a response_url."""

OPENS = 1.5
"""Seconds for a form to open: the click that it answers must be acknowledged within three."""

View = dict[str, Any]


async def send(response_url: str, message: Message) -> bool:
    """Tell the person alone, where the response_url leads; what they acted on stays. Whether it worked."""
    webhook = AsyncWebhookClient(response_url, timeout=PATIENCE, retry_handlers=[])
    try:
        answer = await webhook.send(
            text=message.text,
            blocks=message.blocks,
            response_type="ephemeral",
            replace_original=False,
        )
    except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as error:
        log.warning("response_url failed", error=type(error).__name__)
        return False
    if answer.status_code != 200:
        log.warning("response_url failed", status=answer.status_code)
    return answer.status_code == 200


async def say(client: AsyncWebClient, body: dict[str, Any], text: str) -> None:
    """Answer a click: beside the message, or from the Home tab in a form, which has nowhere else."""
    if url := body.get("response_url"):
        await send(str(url), Message(text, [section(text)]))
    elif trigger := body.get("trigger_id"):
        await show(client, str(trigger), forms.notice(text))


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
