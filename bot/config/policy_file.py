"""A policy written down as TOML: `[[rule]]` tables, asked from the top; `rule_table` shows one.

Amounts are TOML numbers and are read as the exact decimals that are written, never through a float.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from bot.config.lines import Lines
from bot.config.rule_table import FOR_APPROVERS, KEYS, TIER_KEYS, rule_of
from bot.config.values import WRONG
from bot.domain.policy import Policy, PolicyError, Rule
from bot.domain.problem import Problem
from bot.domain.wording import quote
from bot.errors import ConfigError

_OWN_APPROVAL = re.compile(
    r"self|(^|_)own(_|$)|four_?eyes|(two|same)_?person|requesters?_(can|may|as|is)", re.IGNORECASE
)
"""Keys by which people try to switch off the one check that has no switch."""


def load(text: str, source: str) -> Policy:
    """Read a policy file. source: the file's name, for messages.

    Raises `ConfigError` with every problem at once, in the order of the lines; `where` is "source:line",
    and the rule and its key.
    """
    lines = Lines(text)
    document = _read_toml(text, source, lines)
    found = list(_problems_around_rules(document, lines))
    read = [_read_rule(table, f"#{number}") for number, table in enumerate(_tables_of(document), 1)]
    policy, contradictions = _policy_of(tuple(rule for rule, _ in read))
    for index, (rule, unreadable) in enumerate(read):
        # What could not be read is told as such; what follows from its absence is noise.
        keys = {problem.where for problem, _ in unreadable}
        follows = [(problem, None) for problem in contradictions[index] if problem.where not in keys]
        for problem, entry in [*unreadable, *follows]:
            line = lines.of_key(index, problem.where or "name", entry)
            found.append((line, problem.within(f"rule {quote(rule.name)}")))
    if policy is None or found:
        found.sort(key=lambda one: one[0])
        raise ConfigError(*(problem.within(f"{source}:{line}") for line, problem in found))
    return policy


def _policy_of(rules: tuple[Rule, ...]) -> tuple[Policy | None, list[list[Problem]]]:
    """The policy, or what is wrong with each of the rules."""
    try:
        return Policy(rules), [[] for _ in rules]
    except PolicyError as refused:
        return None, refused.problems


def _read_toml(text: str, source: str, lines: Lines) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"), parse_float=_exact)
    except (ValueError, RecursionError) as error:  # also int()'s refusal of thousands of digits
        deep = isinstance(error, RecursionError)
        line, message = lines.of_syntax_error("Too many brackets in each other" if deep else str(error))
        remedy = "Strings go in double quotes, lists in square brackets; each key stands once a rule."
        raise ConfigError(Problem(f"{source}:{line}", f"this is not TOML: {message}", remedy)) from error


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _problems_around_rules(document: dict[str, Any], lines: Lines) -> Iterator[tuple[int, Problem]]:
    """What is wrong outside of the rules, with its line."""
    for key in document:
        if key != "rule":
            yield lines.of_top_level(key), _outside(key)
    if not document.get("rule"):
        yield 1, Problem("", "there is no rule, so nobody could pay", "Write at least one [[rule]].")
    elif not _tables_of(document):
        remedy = "Write [[rule]] on a line of its own."
        yield lines.of_top_level("rule"), Problem("", "a rule begins with two pairs of brackets", remedy)


def _tables_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    tables = document.get("rule")
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tables
    return []


def _outside(key: str) -> Problem:
    if _OWN_APPROVAL.search(key):
        return _unknown_key(key, (), "")
    if difflib.get_close_matches(key, ("rule",), n=1):
        return Problem("", f"there is no setting {quote(key)}", "Did you mean [[rule]]?")
    return Problem("", f"{quote(key)} stands outside of any rule", "Put it below a line that says [[rule]].")


def _read_rule(table: dict[str, Any], nameless: str) -> tuple[Rule, list[tuple[Problem, str | None]]]:
    """The rule as far as it can be read, and what cannot be: the problem and, of a list, the entry.

    nameless: what to call the rule in messages if it has no name.
    """
    written = {"name": "", "requesters": []} | table
    called = str(written["name"]).strip() or nameless
    try:
        rule, problems = rule_of(written, called), []
    except ValidationError as error:
        rule = rule_of(_without(written, {one["loc"][:2] for one in error.errors()}), called)
        problems = list(dict.fromkeys(_problems_of(error)))  # an entry may stand there twice
    if "approvals" not in table and any(table.get(key) for key in FOR_APPROVERS):
        unsaid = Problem("approvals", "it is not said how many must approve", "Write approvals = 1.")
        problems.append((unsaid, None))
    return rule, problems


def _without(table: dict[str, Any], wrong_places: set[tuple[int | str, ...]]) -> dict[str, Any]:
    """What is left of a table without the keys, and the entries of its lists, that cannot be read."""
    # Of a list only entries may be wrong; a number that stands for one is wrong as a whole.
    wrong = {
        place[0] for place in wrong_places if len(place) == 1 or not isinstance(table[str(place[0])], list)
    }
    left = {key: value for key, value in table.items() if key not in wrong}
    for key, value in left.items():
        if isinstance(value, list):
            left[key] = [entry for index, entry in enumerate(value) if (key, index) not in wrong_places]
    return {key: value for key, value in left.items() if value != []}


def _problems_of(error: ValidationError) -> Iterator[tuple[Problem, str | None]]:
    for one in error.errors(include_url=False):
        key, *rest = (str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            known = TIER_KEYS if rest else KEYS
            yield _unknown_key([key, *rest][-1], known, key), None
            continue
        assert one["type"] == WRONG, f"bug: no words for {one['type']}"
        what, remedy = one["ctx"]["what"], one["ctx"]["remedy"]
        entry = one["input"] if len(rest) == 1 and isinstance(one["input"], str) else None
        here = "" if entry is None else f" (here {quote(entry)})"
        yield Problem(key, what + here, remedy), entry


def _unknown_key(key: str, known: Collection[str], where: str) -> Problem:
    if _OWN_APPROVAL.search(key):
        return Problem(
            where,
            f"nobody approves their own request, and no setting changes that, so {quote(key)} has no place",
            "Take it out; name a second person among the approvers.",
        )
    near = difflib.get_close_matches(key, known, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
    return Problem(where, f"there is no setting {quote(key)}", remedy)
