"""What is named as equivalent is still in the source."""

from __future__ import annotations

import pytest

from tests.mutation.equivalent import EQUIVALENT, Same
from tests.planted.breaks import ROOT


@pytest.mark.parametrize("same", EQUIVALENT)
def test_what_is_named_as_equivalent_is_still_there(same: Same) -> None:
    """Whoever changes the line looks again at whether the change would be seen."""
    source = " ".join((ROOT / "bot" / same.file).read_text(encoding="utf-8").split())
    assert f"def {same.function.split('.')[-1]}(" in source
    assert same.text in source
