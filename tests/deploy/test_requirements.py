"""What a bot in service is installed from: every package that it needs, by the tested version and by hash."""

from __future__ import annotations

import re
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.deploy import file
from tests.command_line import ROOT

PINNED = re.compile(r"^(\S+)==([^\s;]+)(?: ; [^\\]+)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.M)


def pinned() -> dict[str, str]:
    """Version by package, of those that have a hash."""
    return {canonicalize_name(name): version for name, version in PINNED.findall(file("requirements.txt"))}


def needed(name: str, extras: frozenset[str]) -> set[str]:
    """A package's name, and those of all that it needs on this platform."""
    found, waiting = set[str](), [(name, extras)]
    while waiting:
        one, its_extras = waiting.pop()
        if (canonical := canonicalize_name(one)) in found:
            continue
        found.add(canonical)
        for text in requires(one) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in its_extras or {""}):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def test_each_line_names_one_version_and_its_hashes() -> None:
    """A line without a hash, or with a range, would let something else in."""
    lines = [line for line in file("requirements.txt").splitlines() if line and line[0] not in " #"]
    assert lines
    assert len(pinned()) == len(lines)


def test_they_are_the_versions_with_which_it_is_tested() -> None:
    """`bash .ci/hashes` makes them anew where those have changed."""
    tested = dict(line.split("==") for line in (ROOT / ".ci/constraints.txt").read_text().split())
    tested = {canonicalize_name(name): version for name, version in tested.items()}
    elsewhere = {"colorama", "tzdata"}
    assert {name: tested.get(name) for name in pinned() if name not in elsewhere} == {
        name: version for name, version in pinned().items() if name not in elsewhere
    }


def test_nothing_that_it_needs_is_missing() -> None:
    """With PostgreSQL."""
    assert needed("invoice-payment-bot", frozenset({"postgres"})) <= pinned().keys() | {"invoice-payment-bot"}
