"""A soak says what grew, and its trouble is drawn from its seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tests.bench.soak.samples import SHORTEST_S, Sample, growths
from tests.bench.soak.trouble import draw

CALM = Sample(0.0, 12, 25, 120.0, 0.3, 20.0, 0, 5.0, 3.0, 100, 10, 10)


def looks(change: Callable[[int], dict[str, float]]) -> list[Sample]:
    """One every five seconds; `change` says what is other than calm in each."""
    count = int(SHORTEST_S / 5) + 1
    return [dataclasses.replace(CALM, at=5.0 * place, **change(place)) for place in range(count)]  # type: ignore[arg-type]


def test_what_grows_without_an_end_is_named() -> None:
    """Ten descriptors a minute are a leak."""
    grew = [one.name for one in growths(looks(lambda place: {"descriptors": 25 + place})) if one.grew]
    assert grew == ["descriptors"]


def test_what_grows_at_first_and_then_no_more_did_not_grow() -> None:
    """What is loaded once, and kept."""
    found = growths(looks(lambda place: {"memory_mb": min(100.0 + 5 * place, 140.0)}))
    assert [one.name for one in found if one.grew] == []


def test_the_same_seed_is_the_same_trouble() -> None:
    """So that what it brought about can be looked for."""
    assert draw(7, 600.0) == draw(7, 600.0)
    assert len({event.kind for event in draw(7, 3600.0)}) == 6
