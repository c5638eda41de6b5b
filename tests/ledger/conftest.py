"""Everything that the ledger promises, it promises on both databases."""

from __future__ import annotations

from typing import cast

import pytest

from tests.fixture_types import NewDatabase


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases of one kind, and then of the other."""
    return cast(NewDatabase, request.getfixturevalue(f"new_{request.param}"))
