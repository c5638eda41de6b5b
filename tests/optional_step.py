"""The app as it is installed where the optional step of Workflow Builder was turned on."""

from __future__ import annotations

from typing import Any

import yaml

from bot.manifest import manifest


def with_the_step() -> dict[str, Any]:
    """What `python -m bot manifest --workflow-step` prints, read."""
    content: dict[str, Any] = yaml.safe_load(manifest(workflow_step=True))
    return content
