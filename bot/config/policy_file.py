"""A policy written down as TOML: `[[rule]]` tables, asked from the top.

    [[rule]]
    name = "servers"
    modules = ["servers", "quickservers"]      # left out: all
    channels = ["C012AB3CD"]                   # left out: all
    requesters = ["U012AB3CD", "S012AB3CD"]
    approvers = ["U012AB3CE", "S012AB3CE"]
    approvals = [{ up_to = 50, required = 0 }, { up_to = 500, required = 1 }, { required = 2 }]
    limit_per_payment = 1000
    limit_per_person_per_day = 2000
    limit_per_rule_per_day = 5000.50
    currencies = ["USD"]                       # left out: USD if the rule holds amounts, otherwise any
    approval_channel = "C012AB3CE"
    expires_after = "3d"
    remind_every = "4h"

Amounts are TOML numbers and are read as the exact decimals that are written, never through a float.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

from bot.config.lines import Places
from bot.domain.duration import parse_duration
from bot.domain.policy import Policy, PolicyError, Rule, Tier
from bot.domain.policy.checks import Flaw, flaws_between, flaws_of
from bot.domain.policy.rule import DEFAULT_EXPIRY
from bot.domain.typed_words import quote

_KEYS = (
    "name",
    "modules",
    "channels",
    "requesters",
    "approvers",
    "approvals",
    "limit_per_payment",
    "limit_per_person_per_day",
    "limit_per_rule_per_day",
    "currencies",
    "approval_channel",
    "expires_after",
    "remind_every",
)
_STEP_KEYS = ("up_to", "required")

_OWN_APPROVAL = re.compile(
    r"self|(^|_)own(_|$)|four_?eyes|(two|same)_?person|requesters?_(can|may|as|is)", re.IGNORECASE
)
"""Keys by which people try to switch off the one check that has no switch."""


def load(text: str, source: str) -> Policy:
    """Read a policy file. source: the file's name, for messages.

    Raises `PolicyError` with every problem at once, each "source:line: what is wrong. The remedy.",
    in the order of the lines.
    """
    places = Places(text)
    document = _read_toml(text, source, places)
    problems = _problems_around_rules(document, places)
    rules = []
    for index, table in enumerate(_tables_of(document)):
        rule, flaws = _read_rule(table, f"#{index + 1}")
        rules.append(rule)
        for flaw in flaws:
            line = places.of_key(index, flaw.key, flaw.value)
            here = "" if flaw.value is None else f" (here {quote(flaw.value)})"
            what = f"{flaw.key}: {flaw.wrong}{here}. {flaw.remedy}"
            problems.append((line, f"rule {quote(rule.name)}: {what}"))
    for index, flaw in flaws_between(rules):
        line = places.of_key(index, "name")
        problems.append((line, f"rule {quote(rules[index].name)}: {flaw}"))
    if problems:
        problems.sort(key=lambda problem: problem[0])
        raise PolicyError([f"{source}:{line}: {problem}" for line, problem in problems])
    return Policy(tuple(rules))


def _read_toml(text: str, source: str, places: Places) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"), parse_float=_exact)
    except ValueError as error:  # TOMLDecodeError, and int()'s refusal of thousands of digits
        line, message = places.of_syntax_error(str(error))
        remedy = "Texts go in double quotes, lists in square brackets; each key stands once a rule."
        raise PolicyError([f"{source}:{line}: this is not TOML: {message}. {remedy}"]) from error


def _problems_around_rules(document: dict[str, Any], places: Places) -> list[tuple[int, str]]:
    problems = [(places.of_top_level(key), _explain_top_level(key)) for key in document if key != "rule"]
    if not document.get("rule"):
        problems.append((1, "there is no rule, so nobody could pay. Write at least one [[rule]]."))
    elif not _tables_of(document):
        wrong = "a rule begins with two pairs of brackets. Write [[rule]] on a line of its own."
        problems.append((places.of_top_level("rule"), wrong))
    return problems


def _tables_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    tables = document.get("rule")
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tables
    return []


def _explain_top_level(key: str) -> str:
    if _OWN_APPROVAL.search(key):
        return str(_flaw_of_unknown_key(key))
    if difflib.get_close_matches(key, ("rule",), n=1):
        return f"there is no setting {quote(key)}. Did you mean [[rule]]?"
    return f"{quote(key)} stands outside of any rule. Put it below a line that says [[rule]]."


def _read_rule(table: dict[str, Any], nameless: str) -> tuple[Rule, list[Flaw]]:
    reader = _RuleReader(table)
    rule = reader.read(nameless)
    # What could not be read was reported as such; what follows from its absence is noise.
    reported = {flaw.key for flaw in reader.flaws}
    return rule, reader.flaws + [flaw for flaw in flaws_of(rule) if flaw.key not in reported]


class _RuleReader:
    """Reads one `[[rule]]` table; what cannot be read becomes a flaw and its default."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._table = table
        self.flaws: list[Flaw] = []

    def read(self, nameless: str) -> Rule:
        """Read every key. nameless: what to call the rule in messages if it has no name."""
        if "name" not in self._table:
            self._add("name", "a rule needs a name", 'Write name = "servers".')
        for key in self._table:
            if key not in _KEYS:
                self.flaws.append(_flaw_of_unknown_key(key))
        requesters = self._names("requesters")
        if not requesters and not self._has_flaw("requesters"):
            self._add("requesters", "nobody could ever use this rule", 'Write requesters = ["U…"].')
        approvers = self._names("approvers")
        meant = approvers or any(key in self._table for key in ("approval_channel", "remind_every"))
        if meant and "approvals" not in self._table:
            self._add("approvals", "it is not said how many must approve", "Write approvals = 1.")
        return Rule(
            name=self._text("name") or nameless,
            requesters=requesters or frozenset(),
            approvers=approvers or frozenset(),
            tiers=self._tiers(),
            modules=self._names("modules"),
            channels=self._names("channels"),
            limit_per_payment=self._amount("limit_per_payment"),
            limit_per_person_per_day=self._amount("limit_per_person_per_day"),
            limit_per_rule_per_day=self._amount("limit_per_rule_per_day"),
            currencies=self._names("currencies"),
            approval_channel=self._text("approval_channel"),
            expires_after=self._duration("expires_after") or DEFAULT_EXPIRY,
            remind_every=self._duration("remind_every"),
        )

    def _add(self, key: str, wrong: str, remedy: str) -> None:
        self.flaws.append(Flaw(key, wrong, remedy))

    def _has_flaw(self, key: str) -> bool:
        return any(flaw.key == key for flaw in self.flaws)

    def _names(self, key: str) -> frozenset[str] | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self._add(key, "this is a list of texts", f'Write {key} = ["…", "…"].')
            return None
        return frozenset(value)

    def _text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is None or isinstance(value, str):
            return value
        self._add(key, "this is a text", f'Write {key} = "…".')
        return None

    def _amount(self, key: str) -> Decimal | None:
        value = self._table.get(key)
        if value is None:
            return None
        amount = _amount_of(value)
        if amount is None:
            self._add(key, "this is not an amount", f"Write {key} = 50 or {key} = 49.99, unquoted.")
        return amount

    def _duration(self, key: str) -> timedelta | None:
        value = self._table.get(key)
        if value is None:
            return None
        try:
            return parse_duration(value if isinstance(value, str) else "")
        except ValueError as error:
            self._add(key, "this is not a span of time", f'{error} It goes in quotes: "3d".')
            return None

    def _tiers(self) -> tuple[Tier, ...]:
        value = self._table.get("approvals", 0)
        if _is_whole(value):
            return (Tier(None, value),)
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            self._add(
                "approvals",
                "this is neither a number nor a list of steps",
                "Write approvals = 1, or approvals = [{ up_to = 50, required = 0 }, { required = 1 }].",
            )
            return (Tier(None, 0),)
        return tuple(self._tier(step) for step in value)

    def _tier(self, step: dict[str, Any]) -> Tier:
        for key in step:
            if key not in _STEP_KEYS:
                self.flaws.append(_flaw_of_unknown_key(key, _STEP_KEYS, "approvals"))
        required = step.get("required")
        if not _is_whole(required):
            self._add("approvals", "each step says how many must approve", "Add required = 1.")
            required = 0
        up_to = None
        if "up_to" in step:
            up_to = _amount_of(step["up_to"])
            if up_to is None:
                self._add("approvals", "up_to is not an amount", "Write up_to = 50, unquoted.")
        return Tier(up_to, required)


def _flaw_of_unknown_key(key: str, known: tuple[str, ...] = _KEYS, at: str | None = None) -> Flaw:
    if _OWN_APPROVAL.search(key):
        return Flaw(
            at or key,
            f"nobody approves their own request, and no setting changes that, so {quote(key)} has no place",
            "Take it out; name a second person among the approvers.",
        )
    near = difflib.get_close_matches(key, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
    return Flaw(at or key, f"there is no setting {quote(key)}", remedy)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _amount_of(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    return Decimal(value) if _is_whole(value) else None


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")
