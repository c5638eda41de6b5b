"""Every target keeps its promises for its seeds and for mutations of them; the command says what it needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.domain.command import Request, parse
from tests.billing.scripted import PAY, outcome
from tests.billing.test_any_answer import paid_or_not
from tests.fuzz.__main__ import NAMES, main
from tests.fuzz.targets import TARGETS, Check

EXAMPLES = {"payments": 60, "lists": 25, "sessions": 40, "commands": 200, "slack": 40}
"""Mutations that are drawn: those that take a few seconds together."""


@pytest.fixture(scope="module")
def check(name: str) -> Iterator[Check]:
    with TARGETS[name].opened() as opened:
        yield opened


@st.composite
def _mutated(draw: st.DrawFn, name: str) -> bytes:
    """A seed, some of whose slices are replaced by words, by each other, or by anything."""
    target = TARGETS[name]
    data = draw(st.sampled_from(target.seeds))
    word = st.sampled_from(target.words).map(str.encode) | st.binary(max_size=6)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(word | st.just(data[start : start + 40])) + data[end:]
    return data


@pytest.mark.parametrize("name", NAMES, scope="module")
class TestTargets:
    def test_its_seeds_break_nothing(self, name: str, check: Check) -> None:
        """Neither good inputs, nor those that were found to break a promise once."""
        for seed in TARGETS[name].seeds:
            check(seed)

    def test_mutations_of_them_break_nothing(self, name: str, check: Check) -> None:
        """However they are cut and put together."""
        quick = settings(
            max_examples=EXAMPLES[name],
            # The same ones every time: what is new is for the command to find.
            derandomize=True,
            database=None,
            # To shrink takes long; the command is for looking closer.
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )

        @quick
        @given(_mutated(name))
        def try_it(data: bytes) -> None:
            check(data)

        try_it()


def test_what_is_fuzzed_is_what_there_is() -> None:
    """The command names all targets, and none else."""
    assert set(NAMES) == TARGETS.keys() == EXAMPLES.keys()


def test_it_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot and its tests do without it."""
    monkeypatch.setitem(sys.modules, "atheris", None)
    done = CliRunner().invoke(main, ["lists"])
    assert done.exit_code == 1
    assert "pip install atheris" in done.output


def test_a_good_input_is_read() -> None:
    """A check that everything passes, because nothing is read, would prove nothing."""
    told = paid_or_not(outcome("ok", "Paid with the card."))
    assert told is not None
    assert (told.verdict.value, told.status_text) == ("PAID", "Paid with the card.")
    assert isinstance(parse("vps 10101", ("vps",)), Request)
    assert PAY in str(TARGETS["payments"].seeds[0])
