"""The kinds of values that settings and rules are made of, each with its words for what is wrong with one.

No word of theirs echoes a value: a token pasted into the wrong variable must not end up in a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

WRONG = "wrong"
"""The type of every error that has our own words; its context is `what` and `remedy` of a `Problem`."""


def wrong(what: str, remedy: str) -> PydanticCustomError:
    """For a validator to raise. what, remedy: as in `Problem`, without the value."""
    return PydanticCustomError(WRONG, "{what}. {remedy}", {"what": what, "remedy": remedy})


def said(what: str, remedy: str) -> WrapValidator:
    """Says what pydantic finds wrong with the value's type in our own words. {key}: the field's name."""

    def check(value: object, parse: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        try:
            return parse(value)
        except ValidationError as error:
            if all(one["type"] == WRONG for one in error.errors(include_input=False)):
                raise
        raise wrong(what, remedy.format(key=info.field_name))

    return WrapValidator(check)


def fitting(fits: Callable[[Any], object], what: str, remedy: str) -> AfterValidator:
    """Refuses a value of the right type that does not fit."""

    def check(value: object) -> object:
        if not fits(value):
            raise wrong(what, remedy)
        return value

    return AfterValidator(check)


def number(low: int, high: int, kind: str = "whole number") -> WrapValidator:
    """A number that lies between the two, or is one of them. kind: what to call it."""

    def check(value: object, parse: ValidatorFunctionWrapHandler) -> float:
        try:
            found: float = parse(value)
        except ValidationError:
            found = low - 1
        if low <= found <= high:
            return found
        raise wrong(f"must be a {kind} from {low} to {high}", "Correct it, or leave it empty.")

    return WrapValidator(check)


LONGEST = timedelta(days=365)
"""Nothing in this bot waits longer; a longer span is a slip."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise wrong(_NO_SPAN, 'Write a whole number and a unit in quotes, such as "90m", "24h" or "3d".')
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", value.strip(), re.ASCII)
    if found is None:
        raise wrong(_NO_SPAN, "Write a whole number and a unit, such as 90m, 24h or 3d.")
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta(0) < duration <= LONGEST:
        raise wrong(_NO_SPAN, f"Write a span between 1s and {LONGEST.days}d.")
    return duration


_NO_SPAN = "this is not a span of time"

Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A span of time as people write it: `30s`, `90m`, `24h`, `3d`."""


def token(prefix: str) -> AfterValidator:
    """One of Slack's tokens, by how it begins."""
    form = re.compile(re.escape(prefix) + r"[A-Za-z0-9-]+", re.ASCII)
    return fitting(
        lambda secret: form.fullmatch(secret.get_secret_value()),
        f"must be the token that begins with {prefix}",
        "Copy it, and nothing around it.",
    )


def is_host(name: str) -> bool:
    """Whether a name server can be asked for it: whoever asks for another gets no answer, but an error."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        readable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        readable = readable and is_host(parts.hostname or "")
    except ValueError:
        readable = False
    if not readable:
        raise wrong("must be a web address", "Write all of it, beginning with https://.")
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise wrong("must begin with https://, for secrets travel there", "Use http:// on this machine only.")
    if parts.username or parts.password:
        raise wrong("must not hold a user name or password", "Use the variables for them.")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]


def _ledger_address(value: object) -> object:
    if not isinstance(value, str):
        return value
    kind, _, place = value.partition("://")
    # What is kept in memory only (:memory:, or a query that says so) is no record of payments.
    if kind == "sqlite" and re.fullmatch(r"/[^?]+", place) and ":memory:" not in place:
        return SecretStr(value)
    if kind in ("postgresql", "postgres") and _names_a_server(value):
        return SecretStr(f"postgresql://{place}")
    raise wrong(
        "must be sqlite:///FILE or postgresql://USER@HOST/DATABASE",
        "The default is sqlite:///ledger.db. In a password, write @ as %40, / as %2F, ? as %3F and # as %23.",
    )


def _names_a_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        # A server on this machine may be named by the folder of its socket: ?host=/var/run/postgresql
        named = [parts.hostname or "", *parse_qs(parts.query).get("host", ())]
        hosts = [host for one in named for host in one.split(",") if host]
        there = parts.port != 0 and bool(hosts) and all(one.startswith("/") or is_host(one) for one in hosts)
    except ValueError:
        # Its text may hold the part of the address where the password stands.
        return False
    return there and _is_read_in_one_way(parts.netloc, address)


def _is_read_in_one_way(server: str, address: str) -> bool:
    """Whether all who read the address see the same password in it.

    Some end it at the first @, some at the last, some at a slash before either. Whoever sees another than it
    is takes the rest for the server's name, which stands in logs and is asked of a name server.
    """
    place, _, query = address.partition("?")
    if "#" in address or place.count("@") != server.count("@") or server.count("@") > 1:
        return False
    user, at, _ = server.rpartition("@")
    return "@" not in query or ":" not in (user if at else server)


LedgerAddress = Annotated[SecretStr, BeforeValidator(_ledger_address)]
"""Where the record is kept: SQLite's file, or a PostgreSQL database."""
