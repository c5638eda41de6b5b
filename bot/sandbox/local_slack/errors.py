"""How the local Slack says no.

Exception
+-- ApiError        the Web API answers {"ok": false, "error": CODE}
+-- NotDelivered    the app did not take a command, an interaction or an event
LookupError
+-- NotThere        a person acts on something that they cannot see
ValueError
+-- ManifestRefused an app cannot be made of this manifest
AssertionError
+-- NotSeen         what a test waited for did not happen in time
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error answer. `fields` are further fields of it, such as `needed` and `provided`."""

    def __init__(self, code: str, **fields: Any) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields

    @classmethod
    def with_messages(cls, code: str, messages: list[str]) -> ApiError:
        """An error that says what is wrong where, as Slack's schema errors do."""
        marked = [f"[ERROR] {message}" for message in messages]
        return cls(code, errors=messages, response_metadata={"messages": marked})


class NotDelivered(Exception):
    """`code` is what the person sees; `reason` is the retry_reason of an event that comes again."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


class NotThere(LookupError):
    """There is no such button, view, person, channel or message for this person to act on."""


class ManifestRefused(ValueError):
    """Slack makes no app of this manifest. The text says why."""


class NotSeen(AssertionError):
    """The condition did not come true in time. The text holds the conversation so far."""
