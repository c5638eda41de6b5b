"""Planted faults: breaks of lines that keep money safe, to see whether the simulation sees them.

Each is a text of one file of the bot and what stands there in its place, put in when the file is loaded.
`python -m tests.simulation --planted` plays histories with each of them until one goes wrong.
"""

from __future__ import annotations

import importlib.machinery
import os
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]
VARIABLE = "SIMULATION_PLANTED"
"""Names the planted fault of this process."""


@dataclass(frozen=True, slots=True)
class Planted:
    """file: under bot/. line: what stands there, once. instead: what is read in its place.

    scene: the history made by hand that goes wrong with it; where there is none, drawn ones do.
    """

    name: str
    file: str
    line: str
    instead: str
    scene: str = ""

    def source(self) -> str:
        """The file with the fault. Raises ValueError where the line does not stand there once."""
        source = (ROOT / "bot" / self.file).read_text(encoding="utf-8")
        if source.count(self.line) != 1:
            raise ValueError(
                f"{self.name}: {self.line!r} stands {source.count(self.line)} times in {self.file}"
            )
        return source.replace(self.line, self.instead)


PLANTED = (
    Planted(
        "what was sent and broke is called not sent",
        "billing/verdicts.py",
        "        verdict = Verdict.UNKNOWN\n",
        "        verdict = Verdict.NOT_SENT\n",
    ),
    Planted(
        "a status that nobody knows is a no",
        "billing/reading.py",
        "_VERDICTS.get(status.strip().casefold(), Verdict.UNKNOWN)",
        "_VERDICTS.get(status.strip().casefold(), Verdict.DECLINED)",
    ),
    Planted(
        "a status that nobody knows is a yes",
        "billing/reading.py",
        "_VERDICTS.get(status.strip().casefold(), Verdict.UNKNOWN)",
        "_VERDICTS.get(status.strip().casefold(), Verdict.PAID)",
    ),
    Planted(
        "the settling time goes by the clock on the wall",
        "payments/settling.py",
        "return own if by_ledger < timedelta(0) else min(own, by_ledger)",
        "return by_ledger",
    ),
    Planted(
        "still unpaid is a no at once",
        "payments/reconciler.py",
        "case Proof.STILL_UNPAID if waited >= self.settling.lasts:",
        "case Proof.STILL_UNPAID:",
    ),
    Planted(
        "what was under way at a crash was not sent",
        "payments/maintenance.py",
        "            State.UNKNOWN,\n            LeaseRanOut(",
        "            State.NOT_SENT,\n            LeaseRanOut(",
    ),
    Planted(
        "an intent of any age is sent",
        "payments/executor.py",
        "return slept < lease and now - sending.updated_at < lease and not sending.too_early(now)",
        "return True",
    ),
    Planted(
        "the amount is not compared",
        "payments/preflight.py",
        "if frozen is not None and (frozen.amount, frozen.currency) != (now.amount, now.currency):",
        "if False:",
    ),
    Planted(
        "a commit without an answer counts",
        "ledger/store.py",
        "                    return await audit.holds(connection, seal)\n",
        "                    return True\n",
    ),
    Planted(
        "it is not asked whether a post arrived",
        "slack/announcer.py",
        "            if delivery.ambiguous:\n                missing",
        "            if False:\n                missing",
    ),
    Planted(
        "a delivery is told by whoever lost it",
        "ledger/outbox.py",
        "(deliveries.c.lease_owner == delivery.lease_owner, deliveries.c.ts == delivery.ts)",
        "()",
    ),
    Planted(
        "after a restart what may have been told is told at once",
        "ledger/leases.py",
        "seen = self.now + visible_within",
        "seen = self.now",
    ),
    Planted(
        "a lease is not looked at",
        "ledger/queues.py",
        "free = or_(payments.c.lease_until.is_(None), payments.c.lease_until <= NOW)",
        "free = or_(payments.c.lease_until.is_(None), payments.c.lease_until.is_not(None))",
    ),
    Planted(
        "a connection that is gone ends in an error",
        "slack/socket_mode.py",
        "        except ConnectionError:\n            pass",
        "        except ZeroDivisionError:\n            pass",
    ),
    Planted(
        "what has expired is sent",
        "payments/preflight.py",
        "        if payment.too_late(transaction.now):\n",
        "        if False:\n",
        "it expires before it can be sent",
    ),
    Planted(
        "who may not approve any more counts",
        "payments/approvals.py",
        "return _status(batch, rule, given, frozenset(given) - counting)",
        "return _status(batch, rule, given)",
        "who approved leaves",
    ),
    Planted(
        "what Slack said of people is good for a day",
        "slack/directory.py",
        "KEEP_S = 60.0",
        "KEEP_S = 86400.0",
        "who approved leaves",
    ),
    Planted(
        "rows of another module count",
        "billing/reading.py",
        "if not (charge or pays) or module not in (self._ref.module, None):",
        "if not (charge or pays):",
    ),
    Planted(
        "rows of another kind count",
        "billing/reading.py",
        'charge = kind == CHARGE and _whole(row, "invoices_id") == self._ref.number',
        'charge = _whole(row, "invoices_id") == self._ref.number',
    ),
    Planted(
        "a button is about whatever has its number",
        "domain/payment.py",
        "        return mark_of(self.created_at)\n",
        '        return ""\n',
        "an old card after a restore",
    ),
    Planted(
        "what is not unpaid any more is sent",
        "payments/preflight.py",
        'else Cancel("the invoice is not unpaid any more")',
        "else None",
        "an invoice is deleted",
    ),
    Planted(
        "an approval is of whatever it costs now",
        "payments/desk.py",
        "if seen != batch.price and (",
        "if not batch.price and (",
    ),
    Planted(
        "splitting into small ones helps",
        "payments/approvals.py",
        "for one in chain(each, totals)), default=0)",
        "for one in each), default=0)",
        "several are above a limit together",
    ),
    Planted(
        "a day is forgotten",
        "payments/look_up.py",
        "not_before = self.mornings.of(day) if day else None",
        "not_before = None",
        "a day is asked for",
    ),
    Planted(
        "anybody may pause",
        "payments/authority.py",
        "if await self.principals(person, frozenset(filter(is_group, named))) & named:",
        "if named:",
        "a stranger pauses",
    ),
    Planted(
        "a pause after the check comes too late",
        "payments/preflight.py",
        "        if (pause := await transaction.paused()) is not None:\n",
        "        if (pause := await transaction.paused()) is check:\n",
        "it is paused between the check and the intent",
    ),
    Planted(
        "no card is needed",
        "ledger/queues.py",
        "    and_(_in(State.APPROVED), _HAS_CARD, _DAY_HAS_COME),\n",
        "    and_(_in(State.APPROVED), _DAY_HAS_COME),\n",
    ),
)


def plant() -> None:
    """Let the fault that the environment names be read when its file is loaded; it must not have been."""
    name = os.environ.get(VARIABLE)
    if name is None:
        return
    planted = next(one for one in PLANTED if one.name == name)
    source, path = planted.source(), str(ROOT / "bot" / planted.file)
    load = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        if loader.path == path:
            return compile(source, path, "exec", dont_inherit=True)
        return load(loader, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
