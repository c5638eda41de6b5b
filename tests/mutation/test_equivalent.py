"""What is named as equivalent is still in the source."""

from __future__ import annotations

import ast

import pytest

from tests.mutation.equivalent import EQUIVALENT, Same
from tests.planted.breaks import ROOT


@pytest.mark.parametrize("same", EQUIVALENT)
def test_what_is_named_as_equivalent_is_still_there(same: Same) -> None:
    """Whoever changes the line looks again at whether the change would be seen."""
    source = (ROOT / "bot" / same.file).read_text(encoding="utf-8")
    of = [ast.get_source_segment(source, node) or "" for node in _named(ast.parse(source), same.function)]
    assert any(same.text in " ".join(each.split()) for each in of)


def _named(tree: ast.Module, function: str) -> list[ast.AST]:
    """What stands at the end of these names, from the outermost inwards."""
    found: list[ast.AST] = [tree]
    for name in function.split("."):
        found = [
            node for each in found for node in ast.iter_child_nodes(each) if getattr(node, "name", "") == name
        ]
    return found
