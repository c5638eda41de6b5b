"""The app as it is installed where the optional step of Workflow Builder was turned on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


def with_the_step() -> dict[str, Any]:
    """manifest.yml with its optional part, done as it says there."""
    text = (Path(__file__).parents[1] / "manifest.yml").read_text(encoding="utf-8")
    head, _, optional = text.partition("# functions:")
    head = head.replace("# - function_executed", "- function_executed")
    head = head.replace("org_deploy_enabled: false", "org_deploy_enabled: true")
    functions = re.sub(r"^# ?", "", "# functions:" + optional, flags=re.MULTILINE)
    manifest: dict[str, Any] = yaml.safe_load(head + functions)
    return manifest
