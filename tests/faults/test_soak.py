"""A soak works, which in earnest takes half an hour."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tests.bench.soak.picture import svg
from tests.bench.soak.run import Plan, soak


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
