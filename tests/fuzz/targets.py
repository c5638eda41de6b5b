"""What is fuzzed: a check that raises where a promise is broken, and the inputs that it begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from tests.fuzz import billing_answers, commands, slack_payloads

Check = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """opened: gives a check of any bytes, until it is closed. seeds: good inputs, and those that once broke
    a promise. words: what inputs are made of.
    """

    opened: Callable[[], AbstractContextManager[Check]]
    seeds: Sequence[bytes]
    words: Sequence[str]


TARGETS = {
    "payments": Target(
        lambda: nullcontext(billing_answers.payment_answer), billing_answers.PAYMENTS, billing_answers.MARKUP
    ),
    "lists": Target(
        lambda: nullcontext(billing_answers.list_answer), billing_answers.LISTS, billing_answers.MARKUP
    ),
    "sessions": Target(
        lambda: nullcontext(billing_answers.other_answer), billing_answers.OTHERS, billing_answers.MARKUP
    ),
    "commands": Target(lambda: nullcontext(commands.typed), commands.SEEDS, commands.WORDS),
    "slack": Target(slack_payloads.desk, slack_payloads.SEEDS, slack_payloads.WORDS),
}
