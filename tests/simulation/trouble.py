"""Trouble on all sides: of the billing API, Slack, the disk and the network, and what others do there."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

from bot.sandbox.local_billing.service import Call
from tests.simulation import billing_answers
from tests.simulation.disk import Trouble
from tests.simulation.drawing import FIRST_DAY, SLOW_S, settings_of
from tests.simulation.installation import Acts, Installation
from tests.simulation.network import Weather
from tests.simulation.system import context_of

_SHUT_S = 2.0
"""Seconds for which nobody can connect then."""


class Troubles:
    """Makes it. faults: by their kind."""

    def __init__(self, installation: Installation, faults: Counter[str]) -> None:
        self._installation = installation
        self.faults = faults
        self._shuts_until = 0.0
        checks = installation.billing.on_call

        def called(call: Call) -> None:
            if checks is not None:
                checks(call)
            if call.operation.endswith("_invoices") and installation.loop.now < self._shuts_until:
                self._refuse(True)
                at = installation.loop.now + _SHUT_S
                installation.loop.at(at, self._refuse, False, context=context_of(None))

        installation.billing.on_call = called
        self.acts: Acts = {
            "billing answers": self._billing_answer,
            "Slack answers": self._slack_answer,
            "disk": self._disk,
            "network": self._network,
            "is away": self._is_away,
            "shuts": self._shut,
            "amount changes": self._change_amount,
            "due date changes": self._change_due_date,
            "is paid by hand": self._pay_by_hand,
            "is deleted": self._delete,
            "edits the rules": self._edit_rules,
            "all is well": self.heal,
        }

    async def _billing_answer(self, seed: int) -> None:
        failure, times = billing_answers.drawn(random.Random(seed))
        self._installation.billing.fail(failure, times=times)
        self.faults["billing answer"] += 1

    async def _slack_answer(
        self, method: str, mode: str, times: int, retry_after: str, seconds: float
    ) -> None:
        self._installation.slack.fail(method, mode, times, seconds=seconds, retry_after=retry_after)
        if mode in ("drop-late", "slow") and seconds > SLOW_S:
            # Whoever looks for it does so before it is there: then it may come twice.
            self._installation.exact = False
        self.faults["Slack answer"] += 1

    async def _disk(self, trouble: str, seconds: float) -> None:
        disk = self._installation.loop.disk
        disk.begin(Trouble(trouble))
        self.faults[f"disk: {trouble}"] += 1
        await asyncio.sleep(seconds)
        disk.heal()

    async def _network(self, service: str, kind: str, seconds: float) -> None:
        network = self._installation.loop.network
        port = self._installation.port_of(service)
        share = {"stalls": Weather(stalls=0.3), "breaks": Weather(breaks=0.1), "cut": Weather(cut=True)}
        network.weathers[port] = share[kind]
        self.faults[f"network: {kind}"] += 1
        await asyncio.sleep(seconds)
        network.weathers[port] = Weather()

    async def _is_away(self, service: str, seconds: float) -> None:
        self.faults["outage"] += 1
        if service == "Slack":
            async with self._installation.slack.outage():
                await asyncio.sleep(seconds)
        else:
            self._installation.billing.fail("down")
            await asyncio.sleep(seconds)
            self._installation.billing.heal()

    def _refuse(self, refuses: bool) -> None:
        self._installation.loop.network.weather(self._installation.port_of("billing")).refuses = refuses

    async def _shut(self, seconds: float) -> None:
        """For so long, whoever has read a list of the billing API cannot connect at once: nothing is sent."""
        self._shuts_until = max(self._shuts_until, self._installation.loop.now + seconds)
        self.faults["billing shuts"] += 1

    async def _change_amount(self, module: str, number: int, amount: float) -> None:
        row = self._installation.billing.row(module, number)
        if row is not None and not row["invoices_paid"]:
            row["invoices_amount"] = amount
            self._installation.past.amount_changed_at[module, number] = self._installation.loop.now
            self.faults["amount changed"] += 1

    async def _change_due_date(self, module: str, number: int, days: int) -> None:
        """days: from the first one."""
        row = self._installation.billing.row(module, number)
        if row is not None:
            row["invoices_due_date"] = str(FIRST_DAY + timedelta(days))
            self._installation.past.due_changed.add((module, number))
            self.faults["due date changed"] += 1

    async def _pay_by_hand(self, module: str, number: int) -> None:
        """In MyAdmin itself."""
        row = self._installation.billing.row(module, number)
        if row is not None and not row["invoices_paid"] and not row["invoices_deleted"]:
            row["invoices_paid"] = 1
            self._installation.past.by_hand.add((module, number))
            self._installation.past.gone_at[module, number] = self._installation.loop.now
            self.faults["paid by hand"] += 1

    async def _delete(self, module: str, number: int) -> None:
        row = self._installation.billing.row(module, number)
        if row is not None and not row["invoices_paid"] and not row["invoices_deleted"]:
            row["invoices_deleted"] = 1
            self._installation.past.deleted.add((module, number))
            self._installation.past.gone_at[module, number] = self._installation.loop.now
            self.faults["deleted"] += 1

    async def _edit_rules(self, seed: int) -> None:
        """Each process goes by them from its next start on."""
        self._installation.settings = settings_of(seed)
        self.faults["rules edited"] += 1

    async def heal(self) -> None:
        self._installation.slack.heal()
        self._installation.billing.heal()
        self._installation.loop.disk.heal()
        self._shuts_until = 0.0
        for port in self._installation.loop.network.weathers:
            self._installation.loop.network.weathers[port] = Weather()
