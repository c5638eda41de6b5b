"""Everything that the ledger promises, it promises on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """LEDGER_URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return cast(Callable[[], str], request.getfixturevalue("new_postgresql"))()
