"""The one way by which anything reaches the app: Socket Mode or HTTP, and neither in an outage."""

from __future__ import annotations

from typing import Protocol

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.errors import NotDelivered
from bot.sandbox.local_slack.faults import Faults
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.world import World


class Transport(Protocol):
    """How payloads reach the app."""

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Return what the app acknowledged with, or raise NotDelivered."""

    def duplicate_next(self, count: int) -> None:
        """Deliver each of the next `count` payloads twice."""


class Delivery:
    """Delivers over `transport`, which may be replaced."""

    def __init__(self, world: World, faults: Faults, transport: Transport) -> None:
        self.transport = transport
        self._world = world
        self._faults = faults

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Return what the app acknowledged with, or raise NotDelivered.

        kind: slash_commands, interactive or events_api. attempt, reason: of a repeated event.
        """
        outcome = "ok"
        try:
            if self._faults.is_out:
                raise NotDelivered("dispatch_failed", "connection_failed")
            return await self.transport.deliver(kind, payload, attempt, reason)
        except NotDelivered as failure:
            outcome = failure.code
            raise
        finally:
            self._world.announce(ChangeKind.DELIVERY_ENDED, subject=kind, text=outcome)
