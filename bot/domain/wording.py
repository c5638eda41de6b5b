"""How amounts, spans of time and what somebody wrote are said to people."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

_LONGEST_QUOTE = 40


def too_late_to_pause(sending: int) -> str:
    """What a pause comes too late for: so many calls were begun before it, one at the least."""
    if sending == 1:
        return "One payment is being sent already, and may still be paid."
    return f"{sending:,} payments are being sent already, and may still be paid."


def money(amount: Decimal, currency: str) -> str:
    """An exact amount with at least two decimals and thousands set apart, as in `2,085.98 USD`."""
    exponent = amount.as_tuple().exponent
    two_decimals = isinstance(exponent, int) and exponent > -2
    return f"{amount:,.2f} {currency}" if two_decimals else f"{amount:,f} {currency}"


def duration_in_words(duration: timedelta) -> str:
    """Say it in the largest unit that holds it without a rest: `3 days`, `90 minutes`."""
    seconds = int(duration.total_seconds())
    sizes = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
    unit = next(unit for unit, size in sizes.items() if seconds % size == 0)
    count = seconds // sizes[unit]
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def quote(words: str) -> str:
    """In quotation marks, shortened, and with nothing invisible in it."""
    visible = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)
    return f'"{shorten(visible, _LONGEST_QUOTE)}"'


def shorten(text: str, most: int) -> str:
    """Cut a text that is longer than `most` characters, and say so with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
