"""Days in words, and the inputs of a form that ask for one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from bot.domain.payment import Payment
from bot.domain.schedule import PayOn
from bot.slack.blocks import Block, input_block, plain
from bot.slack.text import day

WHEN, DAY = "when", "day"
"""The inputs: block id and action id are the same."""

_NOW, _DUE, _ON = "now", "due", "on"
OR_AT_ONCE = ", or at once where that is over"
"""What is sent on a morning that is over by then."""

_CHOICES = {_NOW: "As soon as it is approved", _DUE: "Each on its due date", _ON: "On a day"}


def asked_for(pay_on: PayOn) -> str:
    """What was asked for, as in "on the morning of 5 Dec 2026"."""
    if pay_on.day is None:
        return f"each on the morning of its due date{OR_AT_ONCE}"
    return f"on the morning of {day(pay_on.day)}"


def sent_on(payments: Iterable[Payment]) -> str | None:
    """When these are sent, as in "on the morning of 5 Dec 2026"; None: at once."""
    each = [one.pay_day for one in payments]
    days = sorted({one for one in each if one is not None})
    if not days:
        return None
    on = f"on the morning of {day(days[0])}"
    if len(days) > 1:
        on = f"each on the morning of its day, from {day(days[0])} to {day(days[-1])}"
    return f"{each.count(None)} at once, and the others {on}" if None in each else on


def to_be_sent(waiting: Sequence[Payment]) -> str | None:
    """The same of what waits for approval, which may come after that day."""
    when = sent_on(waiting)
    may_be_over = any(
        one.pay_day is not None and one.not_before is not None and one.not_before < one.request.expires_at
        for one in waiting
    )
    return f"{when}{OR_AT_ONCE}" if may_be_over else when


def inputs() -> list[Block]:
    """What asks for the day: at once, unless something else is picked."""
    options = [{"text": plain(words), "value": value} for value, words in _CHOICES.items()]
    radio = {"type": "radio_buttons", "options": options, "initial_option": options[0]}
    picker = {"type": "datepicker", "placeholder": plain("Pick the day")}
    return [
        input_block(WHEN, "When is it sent?", radio),
        input_block(DAY, "The day", picker, optional=True, hint=plain(f"For “{_CHOICES[_ON]}” only.")),
    ]


def entered(values: Mapping[str, Any]) -> PayOn | str | None:
    """The day that was picked, None for at once; or why that is not clear, to be told under `DAY`.

    values: what was entered in the form, by block and action.
    """
    chosen = (values.get(WHEN, {}).get(WHEN, {}).get("selected_option") or {}).get("value", _NOW)
    picked = values.get(DAY, {}).get(DAY, {}).get("selected_date")
    if chosen == _ON:
        return PayOn(date.fromisoformat(picked)) if picked else "Pick the day on which it is sent."
    if picked:
        return f"Above, “{_CHOICES[chosen]}” is picked. Pick “{_CHOICES[_ON]}” there, or clear the day."
    return PayOn() if chosen == _DUE else None
