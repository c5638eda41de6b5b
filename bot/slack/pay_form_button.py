"""The buttons that open the form for payments, wherever they stand. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bot.slack.blocks import Block, button
from bot.slack.delivered import text_in, understanding

OPEN_FORM = "open_pay_form"
"""The action id of a button that opens it for one invoice."""

PAY_SEVERAL = "pay_several"
"""The action id of a button that opens it for the invoices of a list."""


@dataclass(frozen=True, slots=True)
class Several:
    """What the form begins with: the module of a list, or all of them; and what is due by a day, picked."""

    module: str | None = None
    due_by: date | None = None

    def button(self, **fields: str) -> Block:
        """The button that opens it so."""
        due_by = self.due_by.isoformat() if self.due_by else ""
        return button(PAY_SEVERAL, "Pay several…", f"{self.module or ''} {due_by}", **fields)

    @classmethod
    def of(cls, value: object) -> Several:
        """Read back what the button carries. Raises NotUnderstood."""
        with understanding():
            module, _, due_by = text_in(value).partition(" ")
            return cls(module or None, date.fromisoformat(due_by) if due_by else None)

    def among(self, offered: Sequence[str]) -> tuple[str, ...]:
        """The modules to begin with, of those that are offered."""
        return tuple(one for one in offered if self.module in (None, one)) or (offered[0],)
