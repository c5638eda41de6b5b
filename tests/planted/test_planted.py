"""The tables of planted faults are true to today's source: each line stands there once, and so does its test.

Planting all of them takes minutes: `python -m tests.planted`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.planted.breaks import ROOT, Break, Rotten
from tests.planted.planting import ALL, trees


@pytest.mark.parametrize("what", ALL, ids=[one.name for one in ALL])
def test_the_line_and_the_test_that_sees_it_are_there(what: Break) -> None:
    """Whoever changes the one or moves the other changes the table with it."""
    assert what.broken(ROOT) != (ROOT / "bot" / what.file).read_text(encoding="utf-8")
    assert what.node(ROOT)


def test_each_fault_has_a_name_and_a_place_of_its_own() -> None:
    """No two entries are the same fault."""
    assert [name for name, count in Counter(one.name for one in ALL).items() if count > 1] == []
    assert len({(one.file, one.text, one.instead) for one in ALL}) == len(ALL)


def test_a_table_that_has_rotted_is_noticed(tmp_path: Path) -> None:
    """A line that is gone or stands there twice, and a test that is gone, are told."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "some.py").write_text("a = 1\nb = 1\n")
    for text in ("c = 1", "= 1"):
        with pytest.raises(Rotten, match=r"stands [02] times"):
            Break("some", "some.py", text, "", "payments:test_some").broken(tmp_path)
    with pytest.raises(Rotten, match="stands 0 times in tests/payments"):
        Break("some", "some.py", "a = 1", "", "payments:test_that_there_is_not").node(ROOT)


def test_a_fault_is_seen_and_the_same_test_passes_without_it() -> None:
    """The test runs on the broken copy, not on the source; and it fails for the fault alone."""
    what = next(one for one in ALL if one.name == "what-is-unknown-is-sent-again")
    with trees(1) as copies:
        copy = copies.get()
        assert copy.look(what, whole=False).failed
        assert copy.look(what, whole=True).failed is False
