"""Whether posts whose answers were lost arrived all the same: each is known by the metadata it carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from bot.domain.payment import PaymentRequest, mark_of
from bot.ledger.rows import Delivery, Kind
from bot.slack.web_api import NOT_SLACKS, Client, Later, Posted, Rejected, query

log = structlog.get_logger()

METADATA = "payment_delivery"
"""The event type of the metadata."""

_MARGIN = timedelta(hours=1)
"""How much longer than it is old by our clock a delivery may be old in truth: ours may have been set."""

_PAGES = 100
"""Pages of a history that are read, of two hundred messages each."""


@dataclass(slots=True)
class Search:
    """How far a history has been read, so that Slack's limits do not keep its end out of reach.

    tries: of the delivery, when it was read. sought: the deliveries that are looked for. found: where those
    stand that were on the pages read. farthest: before then, by Slack's clock, none can stand.
    """

    tries: int
    sought: frozenset[int]
    found: dict[int, Posted] = field(default_factory=dict)
    cursor: str | None = None
    farthest: float | None = None


def thread_of(delivery: Delivery, request: PaymentRequest) -> str | None:
    """The card under which a reply stands: the request's own, or the one where approvals are given."""
    elsewhere = request.approved_elsewhere and delivery.channel == request.cards.approval_channel
    return request.cards.approval_ts if elsewhere else request.cards.ts


def metadata(ledger: str, delivery: Delivery, together: Sequence[Delivery] = ()) -> dict[str, Any]:
    """What a post carries. Anybody in the channel can read it, so it tells nothing.

    made: a ledger that was set back gives the numbers of its deliveries again, to others. together: those
    that the same post tells as well.
    """
    payload: dict[str, Any] = {"ledger": ledger, **_named(delivery)}
    if together:
        payload["also"] = [_named(one) for one in together]
    return {"event_type": METADATA, "event_payload": payload}


def _named(delivery: Delivery) -> dict[str, Any]:
    return {"delivery": delivery.id, "made": mark_of(delivery.created_at)}


@dataclass(slots=True)
class Searches:
    """Looks for the bot's posts, and goes on where Slack let it read no further. ledger: its identity."""

    client: Client
    bot_id: str
    ledger: str
    _unfinished: dict[int, Search] = field(default_factory=dict)

    async def find(
        self, first: Delivery, following: Sequence[Delivery], request: PaymentRequest, age: timedelta
    ) -> tuple[Sequence[Delivery], Mapping[int, Posted] | Later]:
        """Where a delivery stands, and those that were told with it: which of these were looked for as well,
        and each post that was found, by the delivery's id.

        What was not found is not there, or the app may not look. age: of the first. How far back it may stand
        is counted from the newest message, by Slack's clock: ours may be another. Later: Slack did not say.
        That they are not there does not follow from that.
        """
        search = self._unfinished.pop(first.id, None)
        if search is None or search.tries != first.tries - 1:
            # Begun anew where another instance had it meanwhile: that one may have posted.
            search = Search(first.tries, frozenset(one.id for one in (first, *following)))
        sought = [one for one in following if one.id in search.sought]
        arguments: dict[str, Any] = {"channel": first.channel, "limit": 200, "include_all_metadata": True}
        if first.kind is Kind.THREAD_REPLY:
            method, arguments["ts"] = "conversations.replies", thread_of(first, request)
        else:
            method = "conversations.history"
        wanted = {one.id: metadata(self.ledger, one) for one in (first, *sought)}
        found = await search_history(self.client, self.bot_id, method, arguments, wanted, search, age=age)
        if isinstance(found, Rejected):
            log.info("history not readable", payment=request.number, error=found.error)
            return sought, {}
        if isinstance(found, Later) and found.error == "ratelimited":
            search.tries = first.tries
            self._unfinished[first.id] = search
        return sought, found

    def forget(self, delivery: Delivery) -> None:
        """Begin anew the next time."""
        self._unfinished.pop(delivery.id, None)


async def search_history(
    client: Client,
    bot_id: str,
    method: str,
    arguments: dict[str, Any],
    wanted: Mapping[int, dict[str, Any]],
    search: Search,
    *,
    age: timedelta,
) -> Mapping[int, Posted] | Later | Rejected:
    """The posts in a history that carry some metadata, by its number; `search` is kept up to date.

    age: of the oldest of them. Later: Slack did not say. Rejected: the app may not look.
    """
    if search.cursor is not None:
        arguments["cursor"] = search.cursor
    for _ in range(_PAGES):
        answer = await query(client, method, **arguments)
        if not isinstance(answer, dict):
            return answer
        found, following = answer.get("messages"), answer.get("response_metadata") or {}
        if not isinstance(found, list) or not isinstance(following, dict):
            return NOT_SLACKS
        for message in found:
            # Anybody can read the metadata of a message, and write the same; only we post as this bot.
            if isinstance(message, dict) and message.get("bot_id") == bot_id:
                for number in wanted.keys() - search.found.keys():
                    if _same(message, wanted[number]):
                        search.found[number] = Posted(str(message["ts"]))
        if search.found.keys() >= wanted.keys():
            return search.found
        times = [time for time in map(_time, found) if time is not None]
        if method == "conversations.history" and times:
            # The newest comes first.
            if search.farthest is None:
                search.farthest = max(times) - (max(age, timedelta(0)) + _MARGIN).total_seconds()
            if min(times) < search.farthest:
                return search.found
        cursor = following.get("next_cursor")
        if not cursor and answer.get("has_more"):
            return Later("the history goes on, and does not say where", None, ambiguous=True)
        if not cursor:
            return search.found
        search.cursor = arguments["cursor"] = str(cursor)
    return Later("the history has no end", None, ambiguous=True)


def _time(message: Any) -> float | None:
    """When Slack says that it was posted, in seconds."""
    try:
        return float(message["ts"])
    except (TypeError, KeyError, ValueError):
        return None


def _same(message: dict[str, Any], wanted: dict[str, Any]) -> bool:
    found = message.get("metadata")
    if not (isinstance(found, dict) and isinstance(message.get("ts"), str)):
        return False
    payload, ours = found.get("event_payload"), wanted["event_payload"]
    if not isinstance(payload, dict) or found.get("event_type") != wanted["event_type"]:
        return False
    alone = {name: payload[name] for name in payload if name != "also"}
    # The first versions did not tell when it was made.
    if alone in (ours, {name: ours[name] for name in ours if name != "made"}):
        return True
    also = payload.get("also")
    named = also if isinstance(also, list) else []
    return any(isinstance(one, dict) and {"ledger": payload.get("ledger"), **one} == ours for one in named)
