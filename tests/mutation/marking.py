"""Marks the statements of functions, so that each tells when it is passed.

A tracer would see every line of every library, in every thread and greenlet, and make the tests several times
as slow.
"""

from __future__ import annotations

import ast
from types import CodeType

from tests.mutation.mutants import functions_of
from tests.planted.breaks import ROOT

MARK = "__passed__"
"""A builtin while the tests are run, which is called with the file and the line of each statement."""


def marked(file: str) -> CodeType:
    """The code of the file, in which the statements of all functions are marked."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for function in functions_of(tree).values():
        for node in list(ast.walk(function.node)):
            for part in ("body", "orelse", "finalbody"):
                statements = getattr(node, part, None)
                if isinstance(statements, list):
                    setattr(node, part, [each for one in statements for each in (_mark(file, one), one)])
    return compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True)


def _mark(file: str, statement: ast.stmt) -> ast.stmt:
    place = ast.Tuple([ast.Constant(file), ast.Constant(statement.lineno)], ast.Load())
    return ast.copy_location(ast.Expr(ast.Call(ast.Name(MARK, ast.Load()), [place], [])), statement)
