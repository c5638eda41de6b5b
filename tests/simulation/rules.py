"""What the bot is told of who may ask and approve: in variables, or in a file where those say too little."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

ABOVE, A_DAY = "above", "a day"
"""What no variable says: the amount above which one more must approve, and a person's limit a day."""

Amount = Decimal | None


def environment_of(settings: Mapping[str, str], file: Path) -> Mapping[str, str]:
    """The variables that say this. file: where the policy is written to, where that takes one."""
    if not {ABOVE, A_DAY} & settings.keys():
        return settings
    required = int(settings["PAY_APPROVALS_REQUIRED"])
    tiers = f"{{ required = {required} }}"
    if ABOVE in settings:
        tiers = f"{{ up_to = {settings[ABOVE]}, required = {required} }}, {{ required = {required + 1} }}"
    lines = [
        "[[rule]]",
        'name = "default"',
        f"requesters = {json.dumps(settings['PAY_ALLOWED_USERS'].split(','))}",
        f"approvers = {json.dumps(settings['PAY_APPROVERS'].split(','))}",
        f"approvals = [{tiers}]",
        f'expires_after = "{settings["PAY_EXPIRES_AFTER"]}"',
        *([f"limit_per_person_per_day = {settings[A_DAY]}"] if A_DAY in settings else []),
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return {"PAY_POLICY_FILE": str(file)}


def required_by(settings: Mapping[str, str], amounts: Iterable[Amount]) -> int:
    """How many must approve payments of these amounts together; one that is not known is above everything."""
    required = int(settings["PAY_APPROVALS_REQUIRED"])
    lines = list(amounts)
    if ABOVE not in settings:
        return required
    total = sum((one for one in lines if one is not None), Decimal(0))
    return required + (
        None in lines or max(total, *(one for one in lines if one), Decimal(0)) > int(settings[ABOVE])
    )


def may_pause(settings: Mapping[str, str]) -> str:
    """Who may stop all sending, as a setting has them: whoever may approve, where anybody has to."""
    approved = int(settings["PAY_APPROVALS_REQUIRED"]) or ABOVE in settings
    return settings["PAY_APPROVERS" if approved else "PAY_ALLOWED_USERS"]
