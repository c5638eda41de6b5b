"""A soak works, which in earnest takes half an hour; and it says what grew."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Callable

from tests.bench.soak.picture import svg
from tests.bench.soak.run import Plan, soak
from tests.bench.soak.samples import SHORTEST_S, Sample, growths
from tests.bench.soak.trouble import draw

CALM = Sample(0.0, 12, 25, 120.0, 0.3, 20.0, 0, 5.0, 3.0, 100, 10, 10)


def looks(change: Callable[[int], dict[str, float]]) -> list[Sample]:
    """One every five seconds; `change` says what is other than calm in each."""
    count = int(SHORTEST_S / 5) + 1
    return [dataclasses.replace(CALM, at=5.0 * place, **change(place)) for place in range(count)]  # type: ignore[arg-type]


async def test_a_soak_of_seconds_ends_well() -> None:
    """With trouble on all sides everything comes to rest, and nothing is paid twice or lost."""
    plan = Plan(
        seconds=3.0,
        rate=8.0,
        seed=298,
        every=0.5,
        trouble=0.7,
        billing_s=0.05,
        slack_s=0.02,
        settling=1.0,
        timeout=2.0,
        channels=8,
        patience=90.0,
    )
    found = await soak(plan)
    assert found.left == []
    assert found.findings is not None
    assert found.findings.wrong == []
    assert (found.findings.duplicates, found.findings.lost, found.untaken) == (0, 0, 0)
    assert found.exit_code == 0
    assert found.trouble
    assert found.findings.payments > 0
    drawing = ET.fromstring(svg(found.samples, plan.seconds, "some seconds"))
    assert len(drawing.findall("{http://www.w3.org/2000/svg}polyline")) == 11


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
