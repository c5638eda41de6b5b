"""The version that pip compares: other code has another one, so that an upgrade is one."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

from packaging.version import Version

from tests.command_line import ROOT


def version_of(root: Path) -> str:
    """What a wheel of the sources there would be called."""
    found = runpy.run_path(str(ROOT / "setup.py"))["version_of"](root)
    assert isinstance(found, str)
    return found


def test_other_code_has_another_version(tmp_path: Path) -> None:
    """With the same one pip would keep what is installed; what Python left beside it makes none."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__"))
    before = version_of(tmp_path)
    assert version_of(ROOT) == before == str(Version(before))
    (tmp_path / "bot" / "__pycache__").mkdir()
    (tmp_path / "bot" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert version_of(tmp_path) == before
    seen = {before}
    for change in (
        lambda: (tmp_path / "bot" / "app.py").write_text("x = 1"),
        lambda: (tmp_path / "bot" / "app.py").rename(tmp_path / "bot" / "ape.py"),
        lambda: (tmp_path / "bot" / "deploy" / "env.example").write_text("X="),
        lambda: (tmp_path / "pyproject.toml").write_text("[project]"),
    ):
        change()
        seen.add(version_of(tmp_path))
    assert len(seen) == 5
