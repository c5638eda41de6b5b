"""Names of variables that this bot does not have, and those that were probably meant.

A restriction that is misspelt restricts nothing, so the bot does not start with an unknown `PAY_` name, nor
with one where the slip is in that prefix. Nor does it where LEDGER_URL is misspelt: a new ledger beside the
one that was meant knows of no payment. With the prefixes of the other variables, other programs have
variables too: those are only told of.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator

from bot.domain.problem import Problem

_OTHERS = ("SLACK_", "BILLING_", "LEDGER_")

LEDGER = "LEDGER_URL"

_SIMILAR = 0.83
"""How alike a name with one of those prefixes must be (0 to 1): BILLING_USER is, SLACK_WEBHOOK_URL is not."""

_SLIPPED = 0.9
"""How alike another name must be to have been meant: PYA_APPROVERS and LEDGER_URI are, APPROVERS is not."""

_AS_ALIKE = 0.02
"""How much less alike than the most alike a name may be to be told with it."""

_KUBERNETES = re.compile(
    r"(PAY|SLACK|BILLING|LEDGER)_(\w+_)?"
    r"(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)",
    re.ASCII,
)
"""What it sets for a service whose name is pay, or begins with it."""


def misspelt(names: Iterable[str], known: Collection[str]) -> Iterator[Problem]:
    """What was meant for the policy and is not read. known: the bot's variables."""
    policy = [name for name in known if name.startswith("PAY_")]
    for name in names:
        if name in known or _KUBERNETES.fullmatch(name) or not _is_for_policy(name.upper(), policy):
            continue
        near = _nearest(name.upper(), policy)
        meant = f"Did you mean {' or '.join(near)}?"
        remedy = meant if near else "Remove it; .env.example has those that there are."
        yield Problem(name, "is no variable of this bot", remedy)


def _is_for_policy(name: str, policy: Collection[str]) -> bool:
    return name.startswith("PAY_") or bool(difflib.get_close_matches(name, policy, n=1, cutoff=_SLIPPED))


def ledger_misspelt(names: Collection[str]) -> Iterator[Problem]:
    """What was meant for LEDGER_URL, where that is not set."""
    if LEDGER not in names:
        for name in names:
            if difflib.get_close_matches(name.upper(), [LEDGER], cutoff=_SLIPPED):
                yield Problem(name, "is no variable of this bot", f"Did you mean {LEDGER}?")


def _nearest(name: str, known: Collection[str]) -> list[str]:
    """The most alike, and those that are nearly as much so: one of them may restrict, another not."""
    near = difflib.get_close_matches(name, known, n=3)
    alike = [difflib.SequenceMatcher(None, one, name).ratio() for one in near]
    return [one for one, ratio in zip(near, alike, strict=True) if ratio >= alike[0] - _AS_ALIKE]


def unread(names: Collection[str], known: Collection[str]) -> Iterator[tuple[Problem, bool]]:
    """What is set beside the policy, looks like the bot's and is not read; whether it was meant for the bot.

    It was where a variable of almost that name is not set.
    """
    told = {problem.where for problem in ledger_misspelt(names)}
    for name in names:
        if not name.upper().startswith(_OTHERS) or name in known or _KUBERNETES.fullmatch(name):
            continue
        if name in told:
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_SIMILAR)
        if near and near[0] not in names:
            yield Problem(name, "is no variable of this bot", f"Did you mean {near[0]}?"), True
        else:
            yield Problem(name, "is not read by this bot", "Leave it if another program reads it."), False
