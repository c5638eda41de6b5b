"""The vocabulary in which Block Kit's limits are written down: small checks that compose.

A check looks at one value and reports what is wrong with it at its JSON pointer, in Slack's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class Problems:
    """What was found wrong, as Slack lists it in response_metadata.messages."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def report(self, pointer: str, message: str) -> None:
        """Note one problem at one place."""
        self.found.append(f"{message} [json-pointer:{pointer}]")


Check = Callable[[Any, str, Problems], None]


def string(most: int, least: int = 0) -> Check:
    """A string of `least` to `most` characters."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, str):
            problems.report(pointer, "must provide a string")
        elif len(value) > most:
            problems.report(pointer, f"must be less than {most + 1} characters")
        elif len(value) < least:
            problems.report(pointer, f"must be more than {least - 1} characters")

    return check


def boolean(value: Any, pointer: str, problems: Problems) -> None:
    """True or false."""
    if not isinstance(value, bool):
        problems.report(pointer, "must provide a boolean")


def integer(least: int, most: int) -> Check:
    """A whole number within limits."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if type(value) is not int:
            problems.report(pointer, "must provide an integer")
        elif value > most:
            problems.report(pointer, f"must be less than {most + 1}")
        elif value < least:
            problems.report(pointer, f"must be greater than {least - 1}")

    return check


def one_of(*values: str) -> Check:
    """One of a few words."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if value not in values:
            problems.report(pointer, f"must be one of: {', '.join(values)}")

    return check


def array(item: Check, most: int, least: int = 1) -> Check:
    """A list of `least` to `most` items, each of which passes `item`."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, list):
            problems.report(pointer, "must provide an array")
            return
        if len(value) > most:
            problems.report(pointer, f"no more than {most} items allowed")
        elif len(value) < least:
            problems.report(pointer, f"no less than {least} items allowed")
        for index, each in enumerate(value):
            item(each, f"{pointer}/{index}", problems)

    return check


def record(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    known = required | (optional or {})

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.report(pointer, "must provide an object")
            return
        for name in required.keys() - value.keys():
            problems.report(pointer, f"missing required field: {name}")
        for name, field in value.items():
            if name in known:
                known[name](field, f"{pointer}/{name}", problems)
            else:
                problems.report(pointer, f"invalid additional property: {name}")

    return check


def by_type(checks: dict[str, Check]) -> Check:
    """An object whose `type` says which of the checks it has to pass."""

    def check(value: Any, pointer: str, problems: Problems) -> None:
        if not isinstance(value, dict):
            problems.report(pointer, "must provide an object")
        elif "type" not in value:
            problems.report(pointer, "missing required field: type")
        elif not isinstance(value["type"], str) or value["type"] not in checks:
            problems.report(f"{pointer}/type", f"unsupported type: {value['type']}")
        else:
            checks[value["type"]](value, pointer, problems)

    return check


def restricted(checks: dict[str, Check], names: Iterable[str]) -> Check:
    """As `by_type`, for those types only."""
    return by_type({name: checks[name] for name in names})


def plain_text(most: int) -> Check:
    """A text object of type plain_text, not empty."""
    return restricted(_texts(most), ["plain_text"])


def any_text(most: int) -> Check:
    """A text object of either type, not empty."""
    return by_type(_texts(most))


def _texts(most: int) -> dict[str, Check]:
    kind = one_of("plain_text", "mrkdwn")
    text = string(most, least=1)
    return {
        "plain_text": record({"type": kind, "text": text}, {"emoji": boolean}),
        "mrkdwn": record({"type": kind, "text": text}, {"verbatim": boolean}),
    }
