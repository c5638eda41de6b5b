"""Whatever happens in whatever order: one payment an invoice, one truth, and no reply lost."""

from __future__ import annotations

import asyncio
import itertools
import os
import random

from tests.effort import LONG
from tests.faults.conftest import InstallationOn
from tests.faults.counts import Counts
from tests.faults.forgeries import FORGERIES, undetected
from tests.faults.histories import CHANNELS, History, draw
from tests.faults.invariants import check_invariants
from tests.faults.scenarios import WITH_APPROVAL

LENGTH = 120
HISTORIES_AT_ONCE = 6
FORGED = 3
"""Forgeries written into each ledger in the end, which the audit must give away."""

SEEDS = [int(os.environ["FAULTS_SEED"])] if "FAULTS_SEED" in os.environ else range(1, 201 if LONG else 5)
"""FAULTS_SEED tries one history again: its seed, as a failure prints it. FAULTS_LONG tries many more."""


async def test_any_history_ends_in_one_truth(installation_on: InstallationOn, counts: Counts) -> None:
    """Thousands of steps of people, crashes, clocks and trouble leave no payment twice and no reply lost."""
    turns = asyncio.Semaphore(HISTORIES_AT_ONCE)

    async def one(seed: int) -> list[str]:
        async with turns:
            return await _history(seed, installation_on, counts)

    wrong = itertools.chain(*await asyncio.gather(*(one(seed) for seed in SEEDS)))
    assert not (flaws := "\n".join(wrong)), flaws


async def _history(seed: int, installation_on: InstallationOn, counts: Counts) -> list[str]:
    """What is wrong in the end. A third of the histories each: one bot on SQLite, two or three on
    PostgreSQL; every other with approvals, every fourth without the right to read the history.
    """
    instances = seed % 3 + 1
    options = {"settings": WITH_APPROVAL} if seed % 2 else {}
    steps = draw(seed, LENGTH)
    async with installation_on(
        "sqlite" if instances == 1 else "postgres",
        channels=len(CHANNELS),
        exact=seed % 4 != 0,
        settable=True,
    ) as installation:
        try:
            await History(installation, options).run(steps, instances=instances)
            found = await check_invariants(installation)
            # Last of all: what is forged is no truth any more.
            found.wrong += await undetected(installation, random.Random(seed).sample(FORGERIES, FORGED))
        except (AssertionError, TimeoutError) as error:
            return [f"FAULTS_SEED={seed}: {type(error).__name__}: {error}"]
    counts.histories += 1
    counts.steps += len(steps)
    counts.add(found)
    return [f"FAULTS_SEED={seed}: {flaw}" for flaw in found.wrong]
