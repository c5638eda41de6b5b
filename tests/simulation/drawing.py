"""What happens, drawn from a seed: people, crashes, clocks, sleep and trouble on all sides.

The steps are drawn before the first is taken, so that some of them can be left out, and the rest is the same.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE, CANCEL, DENY
from tests.faults.slack_errors import drawn_fault, drawn_retry_after
from tests.simulation.disk import Trouble
from tests.simulation.installation import CHANNELS

PEOPLE = ("alice", "bob", "carol")
FIRST_INVOICE = 20001
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

_SLACK_TROUBLE = ("429", "500", "drop-before", "drop-after", "slow", "timeout")
_SLACK_METHODS = ("chat.postMessage", "chat.update", "conversations.replies", "users.info", "*")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. pause: seconds until the next one does."""

    action: str
    pause: float
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        said = [f"{one:.3g}" if isinstance(one, float) else str(one) for one in self.arguments]
        return " ".join([self.action, *said, f"(then {self.pause:.3g} s)"])


def settings_of(seed: int) -> dict[str, str]:
    """What the bot of this history is told: with or without approvals, and for how long a request stands."""
    chance = random.Random(f"settings {seed}")
    everybody = ",".join((ids.ALICE, ids.BOB, ids.CAROL))
    needed = chance.choice((0, 0, 1, 1, 2))
    settings = {
        "PAY_ALLOWED_USERS": everybody,
        "PAY_APPROVALS_REQUIRED": str(needed),
        "PAY_EXPIRES_AFTER": chance.choice(("10m", "1h", "6h", "3d")),
    }
    return settings | ({"PAY_APPROVERS": everybody} if needed else {})


def instances_of(seed: int) -> int:
    """How many instances there are: one on a ledger of its own in half of the histories."""
    return random.Random(f"instances {seed}").choice((1, 1, 1, 2, 2, 3, 4))


def draw(seed: int, length: int) -> list[Step]:
    """The steps of a history."""
    chance = random.Random(f"history {seed}")
    weights = {
        _asks: 34,
        _clicks: 40,
        _fills_in_the_form: 3,
        _runs_a_step: 2,
        _crashes: 14,
        _stands_still: 3,
        _sets_the_clock: 4,
        _billing_answers: 10,
        _slack_answers: 8,
        _disk: 4,
        _weather: 5,
        _outage: 3,
        _amount_changes: 1,
        _edits_the_rules: 1,
        _heals: 8,
    }
    drawn = chance.choices(list(weights), list(weights.values()), k=length)
    steps = [one(chance, place) for place, one in enumerate(drawn)]
    for place in range(1, length):
        if steps[place].action == "crash":
            # It is to meet what came before it half way.
            steps[place - 1] = replace(steps[place - 1], pause=_span(chance, 0.001, 0.3))
    return steps


def _span(chance: random.Random, least: float, most: float) -> float:
    """Seconds, of any order of magnitude alike."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


def _soon(chance: random.Random) -> float:
    """Until the next step: most follow at once, some after the bot has been left alone for a while."""
    return _span(chance, 0.001, 5) if chance.random() < 0.75 else _span(chance, 5, 10 * MINUTE)


def _while(chance: random.Random, most: float = HOUR) -> float:
    """For which a trouble lasts: mostly seconds."""
    return _span(chance, 0.05, 20) if chance.random() < 0.85 else _span(chance, 20, most)


def _invoice(chance: random.Random, place: int) -> int:
    """One that was asked for lately, or one that nobody asked for yet."""
    newest = FIRST_INVOICE + place // 4
    return max(FIRST_INVOICE, newest - chance.randint(0, 6))


def _asks(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("asks", _soon(chance), (*arguments, chance.random() < 0.15))


def _clicks(chance: random.Random, _place: int) -> Step:
    what = chance.choices([APPROVE, DENY, CANCEL], [10, 1, 1])[0]
    late = min(chance.random(), chance.random())
    return Step("clicks", _soon(chance), (chance.choice(PEOPLE), what, late, chance.random() < 0.15))


def _fills_in_the_form(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("fills in the form", _soon(chance), arguments)


def _runs_a_step(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("runs a workflow", _soon(chance), arguments)


def _crashes(chance: random.Random, _place: int) -> Step:
    if chance.random() < 0.15:
        return Step("terminate", _soon(chance), (chance.random(), _while(chance)))
    turns = int(_span(chance, 1, 300))
    return Step("crash", _soon(chance), (chance.random(), turns, _while(chance)))


def _stands_still(chance: random.Random, _place: int) -> Step:
    if chance.random() < 0.5:
        return Step("is stopped", _soon(chance), (chance.random(), _while(chance)))
    return Step("sleeps", _soon(chance), (chance.random(), _span(chance, MINUTE, 4 * DAY)))


def _sets_the_clock(chance: random.Random, _place: int) -> Step:
    by = 0.0 if chance.random() < 0.25 else _span(chance, 0.5, 30 * DAY) * chance.choice((1, -1))
    return Step("sets the clock", _soon(chance), (chance.random(), by))


def _billing_answers(chance: random.Random, _place: int) -> Step:
    return Step("billing answers", _soon(chance), (chance.randrange(2**32), chance.randint(1, 3)))


def _slack_answers(chance: random.Random, _place: int) -> Step:
    trouble = chance.choice((chance.choice(_SLACK_TROUBLE), drawn_fault(chance)))
    retry_after = chance.choice(("1", "30", drawn_retry_after(chance)))
    arguments = (chance.choice(_SLACK_METHODS), trouble, chance.randint(1, 4), retry_after)
    return Step("Slack answers", _soon(chance), arguments)


def _disk(chance: random.Random, _place: int) -> Step:
    return Step("disk", _soon(chance), (chance.choice(list(Trouble)), _while(chance, 5 * MINUTE)))


def _weather(chance: random.Random, _place: int) -> Step:
    kind = chance.choice(("stalls", "breaks", "cut"))
    return Step("network", _soon(chance), (chance.choice(("Slack", "billing")), kind, _while(chance)))


def _outage(chance: random.Random, _place: int) -> Step:
    return Step("is away", _soon(chance), (chance.choice(("Slack", "billing")), _while(chance)))


def _amount_changes(chance: random.Random, place: int) -> Step:
    return Step("amount changes", _soon(chance), (_invoice(chance, place), round(chance.uniform(1, 500), 2)))


def _edits_the_rules(chance: random.Random, _place: int) -> Step:
    return Step("edits the rules", _soon(chance), (chance.randrange(2**32),))


def _heals(chance: random.Random, _place: int) -> Step:
    return Step("all is well", _soon(chance))
