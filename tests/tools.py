"""Programs of other people that some tests ask for their word; continuous integration fetches them."""

from __future__ import annotations

import os
import shutil

import pytest


def tool(name: str) -> str:
    """Where the program is; the test is skipped, with a notice, where there is none."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not there: see .ci/tools")
    return found
