"""What pyproject.toml cannot say: a version of its own for each code, and a wheel of this code alone.

pip leaves an installed wheel as it is where the new one has the same version, and says so in passing: an
upgrade would change nothing. And setuptools takes up what an earlier build left in its folder.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

RELEASE = "0.1.0"


def version_of(root: Path) -> str:
    """The release, and a mark of all that is installed or says what is."""
    digest = sha256()
    for file in sorted([root / "pyproject.toml", *(root / "bot").rglob("*")]):
        if file.is_file() and "__pycache__" not in file.parts:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()} {len(content)} ".encode() + content)
    return f"{RELEASE}+c{digest.hexdigest()[:12]}"


if __name__ == "__main__":
    from setuptools import setup

    root = Path(__file__).resolve().parent
    shutil.rmtree(root / "build", ignore_errors=True)
    setup(version=version_of(root))
