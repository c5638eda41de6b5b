"""Short histories made by hand: each lets one planted fault be seen at once, which drawn ones meet seldom.

The seed says what the bot is told, and all that is drawn beside the steps; see `drawing.settings_of`.
"""

from __future__ import annotations

from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE
from tests.simulation.drawing import HOUR, NIGHT, STRANGER, Step, instances_of, settings_of
from tests.simulation.outside import EVERYBODY_GROUP
from tests.simulation.rules import ABOVE

_BY_ID = ",".join((ids.ALICE, ids.BOB, ids.CAROL))


def _seed(approvers: str, expires_after: str) -> int:
    """Of a history of one bot in which one person must approve."""
    wanted = {
        "PAY_ALLOWED_USERS": _BY_ID,
        "PAY_APPROVALS_REQUIRED": "1",
        "PAY_EXPIRES_AFTER": expires_after,
        "PAY_APPROVERS": approvers,
    }
    return next(seed for seed in range(1, 5000) if settings_of(seed) == wanted and instances_of(seed) == 1)


def _seed_by_total() -> int:
    """Of a history of one bot in which nobody must approve up to 60, and one above."""
    return _seed_with({"PAY_ALLOWED_USERS": _BY_ID, "PAY_APPROVALS_REQUIRED": "0", ABOVE: "60"})


def _seed_with(wanted: dict[str, str]) -> int:
    """Of a history of one bot that is told this, whatever else."""
    return next(
        seed
        for seed in range(1, 5000)
        if wanted.items() <= settings_of(seed).items() and instances_of(seed) == 1
    )


_BEGINS = Step("all is well", 10.0)
"""By then the bot is there."""


def _asks(number: int, channel: str = "payments") -> Step:
    return Step("asks", 5.0, ("alice", channel, "vps", number, False))


def _approves(pause: float, which: float = 0.0) -> Step:
    return Step("clicks", pause, ("bob", APPROVE, which, False, False))


SCENES: dict[str, tuple[int, list[Step]]] = {
    "who approved leaves": (
        _seed(EVERYBODY_GROUP, "6h"),
        [
            *(_BEGINS, _asks(20001), Step("is away", 0.5, ("billing", 600.0)), _approves(1.0)),
            Step("comes or goes", 1300.0, ("bob", "leaves the groups")),
        ],
    ),
    "an old card after a restore": (
        _seed(_BY_ID, "3d"),
        [
            *(_BEGINS, Step("backs up", 1.0), _asks(20001), Step("restores", 1200.0, (1.0,))),
            *(_asks(20091, "payments-2"), _approves(30.0, 0.99)),
        ],
    ),
    "a step is taken up after the backup": (
        _seed(_BY_ID, "3d"),
        [
            *(_BEGINS, Step("Slack answers", 1.0, ("users.info", "500", 2, "1", 1.0))),
            *(Step("runs a workflow", 10.0, ("alice", "payments", "vps", 20001)), Step("backs up", 70.0)),
            Step("restores", 1300.0, (1.0,)),
        ],
    ),
    "an invoice is deleted": (
        _seed(_BY_ID, "3d"),
        [_BEGINS, _asks(20001), Step("is deleted", HOUR, ("vps", 20001)), _approves(30.0)],
    ),
    "an approval is forged": (
        _seed(_BY_ID, "3d"),
        [_BEGINS, _asks(20001), Step("forges", HOUR, (0.0, 0.0))],
    ),
    "several are above a limit together": (
        _seed_by_total(),
        [
            _BEGINS,
            Step(
                "asks for several",
                120.0,
                ("alice", "payments", tuple(("vps", 20001 + one) for one in range(4)), "", False, 1, 1.0),
            ),
        ],
    ),
    "a day is asked for": (
        _seed(_BY_ID, "3d"),
        [
            _BEGINS,
            Step("asks", 5.0, ("alice", "payments", "vps", 20001, False, "on 2026-03-03")),
            _approves(HOUR),
            Step(NIGHT, 60.0, (True,)),
        ],
    ),
    "a stranger pauses": (
        _seed(_BY_ID, "3d"),
        [_BEGINS, Step("pauses", 5.0, (STRANGER, STRANGER, 1.0, False))],
    ),
    "it is paused between the check and the intent": (
        _seed(_BY_ID, "3d"),
        [
            *(_BEGINS, _asks(20001), _BEGINS),
            *(Step("is stopped", 0.01, (0.0, 5.0, "payments/payable.py")), _approves(2.0)),
            Step("pauses", 1300.0, ("", "", 600.0, False)),
        ],
    ),
    "nobody is known until it expires": (
        _seed_with({"PAY_ALLOWED_USERS": EVERYBODY_GROUP, "PAY_EXPIRES_AFTER": "10m"}),
        [_BEGINS, Step("nobody is known", 1300.0, ("alice", "payments", "vps", 20001, 1300.0))],
    ),
    "it expires before it can be sent": (
        _seed(_BY_ID, "10m"),
        [
            *(_BEGINS, _asks(20001), Step("crash", 0.01, (0.0, 1, "payments/executor.py", 900.0))),
            _approves(1200.0),
        ],
    ),
}
"""The seed and the steps, by what happens."""
