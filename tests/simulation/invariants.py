"""What must hold at every moment, and not only in the end: looked up in the ledger's file itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.payment import State
from bot.payments.settlement import OPERATOR
from tests.simulation.rules import may_pause

if TYPE_CHECKING:
    from tests.simulation.installation import Installation


def last_event(installation: Installation) -> int:
    """The number of the last one in the trail."""
    ((number,),) = installation.rows("SELECT last_event FROM chain")
    return int(number)


def at_once(installation: Installation) -> list[str]:
    """What is wrong now: no state may say what is not so."""
    wrong = list(installation.wrong)
    past = installation.past
    paid: dict[tuple[str, int], int] = {}
    for number, module, invoice, state in installation.rows(
        "SELECT request_id, module, number, state FROM payments"
    ):
        if state != State.PAID or number in past.forged:
            continue
        row = installation.billing.row(module, invoice)
        # One that was deleted is gone from the list, as a paid one is; a person may correct that.
        if not (row and row["invoices_paid"]) and (module, invoice) not in past.deleted:
            wrong.append(f"#{number} is PAID, and {module} {invoice} is not")
        if (module, invoice) in paid:
            wrong.append(f"#{number} and #{paid[module, invoice]} are both PAID for {module} {invoice}")
        paid[module, invoice] = number
    for (number,) in installation.rows(
        "SELECT requests.id FROM requests JOIN refused_triggers USING (trigger_id)"
    ):
        wrong.append(f"#{number} was made of what was refused")
    wrong += _paused_by_others(installation)
    for error in installation.errors:
        forged = past.forged and "audit trail" in error
        forgotten = past.unsafe_since is not None and "the ledger was set back" in error
        if not (forged or forgotten):
            wrong.append(f"logged as an error: {error}")
    return wrong


def _paused_by_others(installation: Installation) -> list[str]:
    """Whoever stopped all sending since the last look, or let it go on, must have been allowed to.

    By the rules of a bot that ran meanwhile, and by what was so then or is now.
    """
    past = installation.past
    moments = (past.checked_at, installation.loop.now)
    wrong = [
        f"event {event}: {action} by {actor}, who may not"
        for event, actor, action in installation.rows(
            "SELECT id, actor, action FROM events WHERE id > ? AND action IN ('paused', 'resumed')", past.seen
        )
        if not actor.startswith(OPERATOR)
        and not any(
            past.counts(actor, may_pause(past.rules[name]), at) for name in past.ran for at in moments
        )
    ]
    past.ran = {process.machine.name for process in installation.running}
    past.checked_at = installation.loop.now
    past.seen = last_event(installation)
    return wrong
