"""Whether a post whose answer was lost arrived all the same: it is known by the metadata it carries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.payment import Payment
from bot.ledger.rows import Delivery, Kind
from bot.slack.wire import Later, Posted, Rejected, read

log = structlog.get_logger()

METADATA = "payment_delivery"
"""The event type of the metadata."""


def metadata(ledger: str, delivery: Delivery) -> dict[str, Any]:
    """What a post carries. Anybody in the channel can read it, so it tells nothing."""
    return {"event_type": METADATA, "event_payload": {"ledger": ledger, "delivery": delivery.id}}


async def find(
    client: AsyncWebClient, bot_id: str, delivery: Delivery, payment: Payment, wanted: dict[str, Any]
) -> Posted | Later | None:
    """Look for the post that carries this metadata. None: it is not there, or the app may not look."""
    since = (delivery.created_at - timedelta(minutes=1)).timestamp()
    arguments: dict[str, Any] = {
        "channel": delivery.channel,
        "limit": 200,
        "oldest": f"{since:.6f}",
        "include_all_metadata": True,
    }
    if delivery.kind is Kind.NOTE:
        method, arguments["ts"] = "conversations.replies", payment.card_ts
    else:
        method = "conversations.history"
    while True:
        answer = await read(client, method, **arguments)
        if isinstance(answer, Later):
            return answer
        if isinstance(answer, Rejected):
            log.info("history not readable", payment=payment.id, error=answer.error)
            return None
        for message in answer.get("messages") or ():
            # Anybody can read the metadata of a message, and write the same; only we post as this bot.
            if message.get("bot_id") == bot_id and _same(message.get("metadata"), wanted):
                return Posted(str(message["ts"]))
        cursor = (answer.get("response_metadata") or {}).get("next_cursor")
        if not cursor:
            return None
        arguments["cursor"] = cursor


def _same(found: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    return (
        found is not None
        and found.get("event_type") == wanted["event_type"]
        and found.get("event_payload") == wanted["event_payload"]
    )
