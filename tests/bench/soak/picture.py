"""A picture of a soak: a small chart for each thing that was looked at, in SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from tests.bench.soak.samples import Sample

WIDTH, HEIGHT, LEFT, GAP = 900, 130, 70, 34

_CHARTS: tuple[tuple[str, Callable[[Sample], float]], ...] = (
    ("memory of the bot, MB", lambda one: one.memory_mb),
    ("threads", lambda one: one.threads),
    ("open descriptors", lambda one: one.descriptors),
    ("processors used", lambda one: one.cpu),
    ("slowest acknowledgement of a command, ms", lambda one: one.acknowledged_ms),
    ("lateness of the process that measures, ms", lambda one: one.own_lag_ms),
    ("commands that Slack said had failed", lambda one: one.refused),
    ("ledger on disk, MB", lambda one: one.ledger_mb),
    ("payments made", lambda one: one.paid),
    ("payments not at their end", lambda one: one.unpaid),
    ("what Slack is still to be told", lambda one: one.untold),
)


def svg(samples: Sequence[Sample], ended: float, title: str) -> str:
    """The picture. ended: the second in which the last request was made; a line marks it."""
    whole = len(_CHARTS) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 30}" height="{whole + 30}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15">{escape(title)}</text>',
    ]
    last = max(one.at for one in samples)
    for place, (name, value) in enumerate(_CHARTS):
        points = [(one.at / last, value(one)) for one in samples]
        parts.append(_chart(name, points, ended / last, 30 + GAP + place * (HEIGHT + GAP)))
    marks = "".join(
        f'<text x="{LEFT + WIDTH * part / 6:.0f}" y="{whole + 20}" text-anchor="middle">'
        f"{last * part / 360:.1f} min</text>"
        for part in range(7)
    )
    return "\n".join([*parts, marks, "</svg>\n"])


def _chart(name: str, points: Sequence[tuple[float, float]], ended: float, top: float) -> str:
    most = max(value for _, value in points) or 1.0
    line = " ".join(
        f"{LEFT + WIDTH * at:.1f},{top + HEIGHT * (1 - value / most):.1f}" for at, value in points
    )
    bottom, end = top + HEIGHT, LEFT + WIDTH * min(ended, 1.0)
    return (
        f'<text x="{LEFT}" y="{top - 6}">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
        f'<line x1="{end:.1f}" y1="{top}" x2="{end:.1f}" y2="{bottom}" stroke="#d33" stroke-dasharray="4 3"/>'
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="1.2"/>'
    )
