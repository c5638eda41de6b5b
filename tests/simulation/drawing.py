"""What happens, drawn from a seed: people, crashes, clocks, sleep and trouble on all sides.

The steps are drawn before the first is taken, so that some of them can be left out, and the rest is the same.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE, ASK_AGAIN, DENY, REMOVE, WITHDRAW
from tests.faults.slack_errors import drawn_fault, drawn_retry_after
from tests.simulation.awaits import files
from tests.simulation.disk import Trouble
from tests.simulation.installation import CHANNELS
from tests.simulation.outside import EVERYBODY_GROUP
from tests.simulation.rules import A_DAY, ABOVE

PEOPLE = ("alice", "bob", "carol")
STRANGER = "mallory"
"""No rule names her."""

FIRST_DAY = date(2026, 3, 2)
"""On which a history begins."""

NIGHT = "the night passes"
"""Until the next morning; its pause is counted from there."""

FIRST_INVOICE, BURST_INVOICE, BURST = 20001, 30001, 30
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

_SLACK_TROUBLE = ("429", "500", "drop-before", "drop-after", "drop-late", "slow", "timeout")
_SLACK_METHODS = (
    *("chat.postMessage", "chat.postMessage", "chat.update", "conversations.replies"),
    *("users.info", "usergroups.users.list", "*"),
)
_SELDOM = {
    "types": ("payments/resolving.py", "slack/lists.py"),
    "fills in the form": ("slack/pay_form.py", "slack/pay_form_fill.py"),
    "runs a workflow": ("slack/workflow_step.py", "slack/once.py"),
    "opens the Home tab": ("slack/home.py", "slack/selection.py"),
    "asks and settles": ("slack/resolutions.py", "payments/resolving.py", "payments/settlement.py"),
}
"""What runs in these files only when people do this, which is seldom; else hardly a crash would meet it."""

SLOW_S = 1.5
"""Seconds after which a slow Slack does what it was asked, at most: within `Timing.visible_within`."""


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
    """What the bot of this history is told: who may ask and approve, and for how long a request stands."""
    chance = random.Random(f"settings {seed}")
    everybody = ",".join((ids.ALICE, ids.BOB, ids.CAROL))
    needed = chance.choice((0, 0, 1, 1, 2))
    asking = (everybody, everybody, EVERYBODY_GROUP, f"{ids.ALICE},{ids.BOB}")
    approving = (everybody, everybody, EVERYBODY_GROUP, f"{ids.ALICE},{ids.FINANCE_GROUP}")
    settings = {
        "PAY_ALLOWED_USERS": chance.choice(asking),
        "PAY_APPROVALS_REQUIRED": str(needed),
        "PAY_EXPIRES_AFTER": chance.choice(("10m", "1h", "6h", "3d")),
    }
    approvers, above, a_day = (
        chance.choice(approving),
        chance.choice((60, 120, 200)),
        chance.choice((300, 1000)),
    )
    if needed:
        settings["PAY_APPROVERS"] = approvers
    # Two and one more could never be given: nobody approves their own request.
    if needed < 2 and chance.random() < 0.4:
        settings |= {"PAY_APPROVERS": approvers, ABOVE: str(above)}
    if needed and chance.random() < 0.15:
        settings[A_DAY] = str(a_day)
    return settings


def told_beside(seed: int) -> dict[str, str]:
    """What the bot of this history is to tell beside payments, to whom: nothing in half of the histories."""
    chance = random.Random(f"told beside {seed}")
    approvers = chance.choice(("", " approvers"))
    settings = {
        "PAY_DIGEST": f"{ids.APPROVALS} daily 08:00 UTC 30d{approvers}",
        "PAY_OPERATORS_CHANNEL": ids.APPROVALS,
        "PAY_AUDIT_CHANNEL": ids.APPROVALS,
    }
    return settings if chance.random() < 0.5 else {}


def instances_of(seed: int) -> int:
    """How many instances there are: one on a ledger of its own in half of the histories."""
    return random.Random(f"instances {seed}").choice((1, 1, 1, 2, 2, 3, 4))


def draw(seed: int, length: int) -> list[Step]:
    """The steps of a history."""
    chance = random.Random(f"history {seed}")
    weights = {
        _asks: 38,
        _asks_for_several: 20,
        _confirms: 3,
        _clicks: 48,
        _types: 4,
        _fills_in_the_form: 3,
        _runs_a_step: 2,
        _opens_home: 4,
        _settles: 2,
        _pauses: 3,
        _resumes: 1,
        _night: 0.3,
        _comes_or_goes: 3,
        _crashes: 24,
        _stands_still: 5,
        _sets_the_clock: 4,
        _billing_answers: 12,
        _slack_answers: 10,
        _nobody_is_known: 1,
        _asks_blindly: 3,
        _shuts: 2,
        _disk: 4,
        _weather: 5,
        _outage: 3,
        _amount_changes: 1,
        _due_date_changes: 1,
        _is_settled_by_hand: 1,
        _edits_the_rules: 2,
        _heals: 8,
    }
    # What is seldom, and changes all that follows: of one kind in a history, if any.
    weights |= chance.choice(({}, {}, {}, {_bursts: 2}, {_forges: 4}, {_backs_up: 4, _restores: 5}))
    drawn = chance.choices(list(weights), list(weights.values()), k=length)
    steps = [one(chance, place) for place, one in enumerate(drawn)]
    for place in range(1, length):
        if steps[place].action in ("crash", "is away"):
            # It is to meet what came before it half way.
            steps[place - 1] = replace(steps[place - 1], pause=_span(chance, 0.001, 0.3))
        if steps[place].action == "crash" and steps[place - 1].action in _SELDOM and chance.random() < 0.5:
            which, turns, _, away = steps[place].arguments
            file = chance.choice(_SELDOM[steps[place - 1].action])
            steps[place] = replace(steps[place], arguments=(which, turns, file, away))
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


def _invoice(chance: random.Random, place: int) -> tuple[str, int]:
    """One that was asked for lately, or one that nobody asked for yet; seldom of a module with its number."""
    newest = FIRST_INVOICE + place // 4
    module = "licenses" if chance.random() < 0.08 else "vps"
    return module, max(FIRST_INVOICE, newest - chance.randint(0, 6))


def _when(chance: random.Random) -> str:
    """When it is to be paid, as it is typed: mostly at once, else on a day near by."""
    if chance.random() < 0.8:
        return ""
    if chance.random() < 0.4:
        return "on due date"
    days = chance.choices([0, 1, 2, 5, -1], [8, 4, 1, 1, 1])[0]
    return f"on {FIRST_DAY + timedelta(days)}"


def _asked_where(chance: random.Random, place: int) -> tuple[Any, ...]:
    return chance.choice(PEOPLE), chance.choice(CHANNELS), *_invoice(chance, place)


def _asks(chance: random.Random, place: int) -> Step:
    arguments = (*_asked_where(chance, place), chance.random() < 0.15, _when(chance))
    return Step("asks", _soon(chance), arguments)


def _asks_blindly(chance: random.Random, place: int) -> Step:
    """While nobody can read what it costs; the others approve it, and then that is known."""
    return Step("asks blindly", _soon(chance), (*_asked_where(chance, place), _span(chance, 0.3, 20)))


def _shuts(chance: random.Random, _place: int) -> Step:
    return Step("shuts", _soon(chance), (_span(chance, MINUTE, HOUR),))


def _asks_for_several(chance: random.Random, place: int) -> Step:
    """Seldom so many that a card does not show all of them; sometimes what is due, whatever that is."""
    person, channel, *_ = _asked_where(chance, place)
    size = chance.randint(11, 30) if chance.random() < 0.05 else chance.randint(2, 6)
    listed = sorted({_invoice(chance, place + chance.randint(0, 2 * size)) for _ in range(size)})
    due = chance.choice(("vps overdue", "all due 30d")) if chance.random() < 0.05 else ""
    presses, after = chance.choice((0, 1, 1, 1, 1, 2)), _span(chance, 0.05, 20)
    arguments = (person, channel, tuple(listed), due, chance.random() < 0.2, presses, after, _when(chance))
    return Step("asks for several", _soon(chance), arguments)


def _confirms(chance: random.Random, _place: int) -> Step:
    """What was shown a while ago, be it confirmed already."""
    return Step("confirms", _soon(chance), (chance.choice(PEOPLE), chance.random()))


def _bursts(chance: random.Random, place: int) -> Step:
    """The end of a month."""
    return Step("all ask at once", _soon(chance), (BURST_INVOICE + BURST * place, BURST))


def _clicks(chance: random.Random, _place: int) -> Step:
    what = chance.choices([APPROVE, DENY, WITHDRAW, REMOVE, ASK_AGAIN], [30, 3, 6, 4, 2])[0]
    late = min(chance.random(), chance.random())
    # Some look at a card as it was a while ago.
    outdated = chance.random() < 0.1
    arguments = (chance.choice(PEOPLE), what, late, chance.random() < 0.15, outdated)
    return Step("clicks", _soon(chance), arguments)


def _types(chance: random.Random, place: int) -> Step:
    lists = ("list", "status", "mine", "pending", "scheduled", "report")
    words = chance.choice((*lists, "resolve", "resolve", "resolve", "resolve", "correct", "help"))
    return Step("types", _soon(chance), (*_asked_where(chance, place), words, chance.random()))


def _fills_in_the_form(chance: random.Random, place: int) -> Step:
    return Step("fills in the form", _soon(chance), (*_asked_where(chance, place), _when(chance)))


def _runs_a_step(chance: random.Random, place: int) -> Step:
    return Step("runs a workflow", _soon(chance), _asked_where(chance, place))


def _opens_home(chance: random.Random, _place: int) -> Step:
    boxes = chance.choice((0, 1, 2, 3, 5))
    arguments = (chance.choice(PEOPLE), boxes, chance.random(), _span(chance, 0.05, 20))
    return Step("opens the Home tab", _soon(chance), arguments)


def _settles(chance: random.Random, place: int) -> Step:
    """By the buttons of its card; sometimes sooner than they may."""
    later = _span(chance, 1, 2 * HOUR)
    arguments = (*_asked_where(chance, place), chance.random() < 0.5, later, chance.random())
    return Step("asks and settles", _soon(chance), arguments)


def _pauses(chance: random.Random, _place: int) -> Step:
    """For a while, mostly; whoever is to end it may not be somebody who may, or forget about it."""
    arguments = (_who_pauses(chance), _who_pauses(chance), _while(chance), chance.random() < 0.2)
    return Step("pauses", _soon(chance), arguments)


def _resumes(chance: random.Random, _place: int) -> Step:
    return Step("resumes", _soon(chance), (_who_pauses(chance),))


def _who_pauses(chance: random.Random) -> str:
    """Somebody who may or may not; nobody: on the command line."""
    return chance.choice((*PEOPLE, STRANGER, "", ""))


def _night(chance: random.Random, _place: int) -> Step:
    """Mostly all machines sleep meanwhile: as much happens, in less time."""
    return Step(NIGHT, chance.uniform(-60, 60), (chance.random() < 0.7,))


def _comes_or_goes(chance: random.Random, _place: int) -> Step:
    how = chance.choice(("is deactivated", "leaves the groups", "comes back"))
    return Step("comes or goes", _soon(chance), (chance.choice(PEOPLE), how))


def _crashes(chance: random.Random, _place: int) -> Step:
    """file: of the bot; if there is one, only turns count of tasks that wait in it where none crashed yet."""
    if chance.random() < 0.1:
        return Step("terminate", _soon(chance), (chance.random(), _while(chance)))
    file = chance.choice(files()) if chance.random() < 0.8 else ""
    turns = int(_span(chance, 1, 6 if file else 300))
    away = _span(chance, 0.05, 5) if chance.random() < 0.7 else _while(chance)
    return Step("crash", _soon(chance), (chance.random(), turns, file, away))


def _stands_still(chance: random.Random, _place: int) -> Step:
    aimed = ("payments/executor.py", "billing/client.py", "slack/announcer.py", chance.choice(files()))
    file = chance.choice(aimed) if chance.random() < 0.7 else ""
    if chance.random() < 0.5:
        return Step("is stopped", _soon(chance), (chance.random(), _while(chance), file))
    return Step("sleeps", _soon(chance), (chance.random(), _span(chance, MINUTE, 4 * DAY), file))


def _sets_the_clock(chance: random.Random, _place: int) -> Step:
    by = 0.0 if chance.random() < 0.25 else _span(chance, 0.5, 30 * DAY) * chance.choice((1, -1))
    if chance.random() < 0.3:
        by = chance.uniform(15, 60) * MINUTE  # what a lost answer waits for is over by that clock
    return Step("sets the clock", _soon(chance), (chance.random(), by))


def _billing_answers(chance: random.Random, _place: int) -> Step:
    return Step("billing answers", _soon(chance), (chance.randrange(2**32),))


def _slack_answers(chance: random.Random, _place: int) -> Step:
    trouble = chance.choice(_SLACK_TROUBLE) if chance.random() < 0.6 else drawn_fault(chance)
    retry_after = chance.choice(("1", "30", drawn_retry_after(chance)))
    # What is shown later than the bot waits for may stand there twice.
    seconds = _span(chance, 3, MINUTE) if chance.random() < 0.03 else chance.uniform(0.1, SLOW_S)
    arguments = (chance.choice(_SLACK_METHODS), trouble, chance.randint(1, 4), retry_after, seconds)
    return Step("Slack answers", _soon(chance), arguments)


def _nobody_is_known(chance: random.Random, place: int) -> Step:
    """Somebody asks; before it is looked up all bots crash; and Slack does not say who is who."""
    arguments = (*_asked_where(chance, place), _span(chance, 20 * MINUTE, 2 * HOUR))
    return Step("nobody is known", _soon(chance), arguments)


def _disk(chance: random.Random, _place: int) -> Step:
    return Step("disk", _soon(chance), (chance.choice(list(Trouble)), _while(chance, 5 * MINUTE)))


def _weather(chance: random.Random, _place: int) -> Step:
    kind = chance.choice(("stalls", "breaks", "cut"))
    return Step("network", _soon(chance), (chance.choice(("Slack", "billing")), kind, _while(chance)))


def _outage(chance: random.Random, _place: int) -> Step:
    return Step("is away", _soon(chance), (chance.choice(("Slack", "billing")), _while(chance)))


def _amount_changes(chance: random.Random, place: int) -> Step:
    amount = round(chance.uniform(1, 500), 2)
    return Step("amount changes", _soon(chance), (*_invoice(chance, place), amount))


def _due_date_changes(chance: random.Random, place: int) -> Step:
    return Step("due date changes", _soon(chance), (*_invoice(chance, place), chance.randint(-2, 4)))


def _is_settled_by_hand(chance: random.Random, place: int) -> Step:
    deleted = chance.random() < 0.4
    return Step("is deleted" if deleted else "is paid by hand", _soon(chance), _invoice(chance, place))


def _forges(chance: random.Random, _place: int) -> Step:
    return Step("forges", _soon(chance), (chance.random(), chance.random()))


def _backs_up(chance: random.Random, _place: int) -> Step:
    return Step("backs up", _soon(chance))


def _restores(chance: random.Random, _place: int) -> Step:
    """From the last backup; or a failover, which loses what was committed last."""
    return Step(
        "fails over" if chance.random() < 0.4 else "restores", _soon(chance), (_span(chance, 0.01, 2),)
    )


def _edits_the_rules(chance: random.Random, _place: int) -> Step:
    return Step("edits the rules", _soon(chance), (chance.randrange(2**32),))


def _heals(chance: random.Random, _place: int) -> Step:
    return Step("all is well", _soon(chance))
