"""trigger_ids: each opens one modal, within seconds of the interaction it came with."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from bot.sandbox.local_slack.clock import Clock
from bot.sandbox.local_slack.errors import ApiError

_FORMAT = re.compile(r"\d+\.\d+\.[0-9a-f]+")


@dataclass(slots=True)
class _Trigger:
    person: str
    expires: float
    used: bool = False


class Triggers:
    """Issues and exchanges them. `lifetime` is in seconds."""

    def __init__(self, clock: Clock, lifetime: float) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._issued: dict[str, _Trigger] = {}

    def issue(self, person: str) -> str:
        """A new trigger_id for what this person just did."""
        now = self._clock.now()
        trigger_id = f"{int(now * 1000)}.{secrets.randbelow(10**10)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = _Trigger(person, now + self.lifetime)
        return trigger_id

    def exchange(self, trigger_id: str) -> str:
        """The person it was issued for. It cannot be exchanged again."""
        trigger = self._issued.get(trigger_id)
        if trigger is None or not _FORMAT.fullmatch(trigger_id):
            raise ApiError("invalid_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        if self._clock.now() > trigger.expires:
            raise ApiError("expired_trigger_id")
        trigger.used = True
        return trigger.person
