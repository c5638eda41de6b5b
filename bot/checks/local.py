"""The settings, the rules and the files that hold them: all that can be looked at without a connection."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bot import config
from bot.checks.findings import Finding, note, of_problem, ok, wrong
from bot.config import Settings
from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.policy import Policy
from bot.domain.policy.words import fingerprint
from bot.domain.wording import quote
from bot.errors import ConfigError

_NO_FILE = Path(os.devnull)
"""For what was read already: it is read once, as it may be a pipe."""


@dataclass(slots=True)
class Local:
    """What was found. settings, policy: None where they are wrong by themselves."""

    settings: Settings | None = None
    policy: Policy | None = None
    findings: list[Finding] = field(default_factory=list)


def look(dotenv: Path | None) -> Local:
    """Look at all of it. dotenv: as for `config.load`."""
    found, names = Local(), list[Finding]()
    try:
        given = config.given_in(dotenv)
        names += _of_names(given)
        found.settings = config.load(_NO_FILE, given)
        found.policy = config.policy_of(found.settings)
    except ConfigError as error:
        found.findings += map(of_problem, error.problems)
    else:
        found.findings += _of_rules(found.settings, found.policy)
    found.findings += names
    found.findings += _of_files(config.DOTENV if dotenv is None else dotenv, found.settings)
    return found


def _of_rules(settings: Settings, policy: Policy) -> Iterator[Finding]:
    way = "over Socket Mode" if settings.mode == "socket" else "over HTTP"
    yield ok("settings", f"complete; Slack reaches the bot {way}")
    asking = {one for rule in policy.rules for one in rule.requesters}
    if asking:
        told = (
            f"{len(asking)} people or groups may request payments; in the log they are {fingerprint(policy)}"
        )
        yield ok("rules", told)
    else:
        remedy = "Name people or groups by their ids; python -m bot setup does it by name."
        yield wrong("PAY_ALLOWED_USERS", "is empty, so nobody may request payments", remedy)
    yield from of_modules(policy, DOCUMENTED_MODULES, note, "which MyAdmin does not document")


def of_modules(
    policy: Policy, known: Sequence[str], judged: Callable[..., Finding], whose: str
) -> Iterator[Finding]:
    """Rules for modules that are not there, so that others decide on what they were written for."""
    for stray in policy.strays(known):
        what = f"names the module {stray.module}, {whose}; what is meant falls to the rules below it"
        remedy = f"Did you mean {stray.near}?" if stray.near else f"The modules are: {', '.join(known)}."
        yield judged(f"rule {quote(stray.rule.name)}", what, remedy)


def _of_names(given: Mapping[str, str]) -> Iterator[Finding]:
    for problem, meant in config.names_not_read(_NO_FILE, given):
        yield of_problem(problem) if meant else note(problem.where, problem.what, problem.remedy)


def _of_files(dotenv: Path, settings: Settings | None) -> Iterator[Finding]:
    """Who reads .env has every secret; who writes to either says who may pay."""
    policy = None if settings is None else settings.pay_policy_file
    for file, secret in ((dotenv, True), *([(policy, False)] if policy else [])):
        try:
            mode = stat.S_IMODE(os.stat(file).st_mode)
        except OSError:
            continue  # not there, which is no harm, or told already
        if not os.path.isfile(file):
            continue
        if mode & 0o022:
            yield wrong(str(file), "others on this machine can write to it", f"Run: chmod go-w {file}")
        elif secret and mode & 0o004:
            yield wrong(
                str(file), "others on this machine can read it, with its secrets", f"Run: chmod 600 {file}"
            )
        elif secret:
            yield ok(str(file), "cannot be read by others")
