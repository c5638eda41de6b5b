"""One rule as it is written: a row a field, what may be written for it, and the words for what may not.

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

What a field means, and its default, stands in `Rule`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bot.config.values import Duration, fitting, said, wrong
from bot.config.written_ids import Channel, Principal
from bot.domain.policy import Rule, Tier


def _tables_of_tiers(value: object) -> object:
    """A number alone is one tier for all amounts."""
    if type(value) is int:
        return [{"required": value}]
    if isinstance(value, list) and value and all(isinstance(tier, dict) for tier in value):
        return [{"required": None} | tier for tier in value]
    raise wrong(
        "must be a number or a list of tiers",
        "Write approvals = 1, or approvals = [{ up_to = 50, required = 0 }, { required = 1 }].",
    )


def _decimal(value: object) -> object:
    return Decimal(value) if type(value) is int else value


def _is_of_money(amount: Decimal) -> bool:
    """Whether it is within what an invoice may say; what is said of a rule holds all of its digits."""
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -6 and abs(amount) < 10**12


_String = said("must be a string", 'Write {key} = "…".')
_Name = Annotated[
    str,
    fitting(
        lambda name: bool(name.strip()) and len(name) <= 60 and name.isprintable(),
        "a rule needs a name of 1 to 60 characters",
        'Write name = "servers".',
    ),
    _String,
]
_Module = Annotated[
    str,
    fitting(
        lambda module: re.fullmatch(r"[a-z][a-z0-9_]*", module, re.ASCII),
        "a module is a lower-case name",
        "Write it as MyAdmin does, for example vps or floating_ips.",
    ),
]
_Currency = Annotated[
    str,
    fitting(
        lambda currency: re.fullmatch(r"[A-Z]{3}", currency, re.ASCII),
        "a currency is three capital letters",
        'Write "USD".',
    ),
]
_Entry = TypeVar("_Entry")
_List = Annotated[
    frozenset[_Entry], Field(strict=False), said("must be a list of strings", 'Write {key} = ["…", "…"].')
]
_Requesters = Annotated[
    _List[Principal], fitting(bool, "nobody could ever use this rule", 'Write requesters = ["U…"].')
]
_Some = Annotated[
    _List[_Entry],
    fitting(bool, "an empty list would allow none", "Name some, or take the line out to allow all."),
]
_Amount = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    fitting(
        _is_of_money, "no invoice has such an amount", "Write an amount of at most 12 digits, such as 49.99."
    ),
]
_Limit = Annotated[
    _Amount,
    said("this is not an amount", "Write {key} = 50 or {key} = 49.99, unquoted."),
    fitting(
        lambda limit: limit > 0,
        "with this limit nothing could ever be paid",
        "Write an amount above zero, or take the line out for no limit.",
    ),
]

_LEFT_OUT: Any = None
"""What is not written is not handed to `Rule`, which has the default."""


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _TierTable(_Table):
    up_to: Annotated[_Amount, said("up_to is not an amount", "Write up_to = 50, unquoted.")] = _LEFT_OUT
    required: Annotated[
        int,
        said("each tier says how many must approve", "Add required = 1."),
        fitting(lambda count: count <= 100, "so many people never approve", "Write 0, 1, 2 or a few more."),
    ]


_Tiers = Annotated[list[_TierTable], BeforeValidator(_tables_of_tiers)]


class _RuleTable(_Table):
    name: _Name = _LEFT_OUT
    modules: _Some[_Module] = _LEFT_OUT
    channels: _Some[Channel] = _LEFT_OUT
    requesters: _Requesters = _LEFT_OUT
    approvers: _List[Principal] = _LEFT_OUT
    tiers: _Tiers = Field(_LEFT_OUT, alias="approvals")
    limit_per_payment: _Limit = _LEFT_OUT
    limit_per_person_per_day: _Limit = _LEFT_OUT
    limit_per_rule_per_day: _Limit = _LEFT_OUT
    currencies: _Some[_Currency] = _LEFT_OUT
    approval_channel: Annotated[Channel, _String] = _LEFT_OUT
    expires_after: Duration = _LEFT_OUT
    remind_every: Duration = _LEFT_OUT


KEYS = tuple(field.alias or name for name, field in _RuleTable.model_fields.items())
"""What the fields are called in a policy file."""

TIER_KEYS = tuple(_TierTable.model_fields)
"""What those of a tier are called."""

FOR_APPROVERS = ("approvers", "approval_channel", "remind_every")
"""Whoever writes one of these means approvals, so must say how many: silently none would be asked for."""


def rule_of(table: Mapping[str, Any], name: str) -> Rule:
    """The rule that a table says. name: the rule's, where the table has none.

    Raises pydantic's `ValidationError`, each of whose errors is one of `wrong`, or an unknown key.
    """
    read = _RuleTable.model_validate(table)
    given = {field: getattr(read, field) for field in read.model_fields_set}
    if "tiers" in given:
        given["tiers"] = tuple(Tier(tier.up_to, tier.required) for tier in read.tiers)
    return Rule(**{"name": name, "requesters": frozenset()} | given)
