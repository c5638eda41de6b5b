"""Which mutants of a file there are: one small change each.

mutmut's operators make them, but for some that tell nothing: a positional argument that is None or is
missing, which the type checker sees, a False that is None, and a string's second and third change. Two are
added that guards need: a condition that always or never holds, and a statement whose effect is all that it
is for (a call, a raise) left out.

What only people read is left alone: log lines, the words of exceptions and assertions, and whole sentences (a
literal that begins with a capital letter and ends with a full stop). So is `strict` of `zip`, an assertion,
and a checkpoint, at which only tests listen.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import (
    OPERATORS_TYPE,
    mutation_operators,
    operator_arg_removal,
    operator_assignment,
    operator_string,
)

from tests.mutation.equivalent import Same
from tests.planted.breaks import ROOT

_LOG = m.Call(func=m.Attribute(value=m.Name("log")))
_CHECKPOINT = m.Await(m.Call(func=m.Attribute(attr=m.Name("checkpoint"))))
_STATEMENT = (cst.SimpleStatementLine, cst.BaseCompoundStatement)
_WORDS = m.Raise() | m.Assert()
_FALSE = [kind(value=m.Name("False")) for kind in (m.Assign, m.AnnAssign)]
_LITERAL = m.SimpleString() | m.FormattedString() | m.ConcatenatedString()


def _arguments(node: cst.Call) -> Iterator[cst.Call]:
    """mutmut's, of arguments with a keyword: it is None, or its default."""
    for at, argument in enumerate(node.args):
        if argument.keyword is not None and not _is_assertion(node, argument):
            if not m.matches(argument.value, m.Name("None") | m.Name("False")):
                none = argument.with_changes(value=cst.Name("None"))
                yield node.with_changes(args=[*node.args[:at], none, *node.args[at + 1 :]])
            yield node.with_changes(args=[*node.args[:at], *node.args[at + 1 :]])


def _assigned(node: cst.Assign | cst.AnnAssign) -> list[cst.CSTNode]:
    """mutmut's, but for what is false in both."""
    return [] if m.matches(node, m.OneOf(*_FALSE)) else list(operator_assignment(node))


def _is_assertion(call: cst.Call, argument: cst.Arg) -> bool:
    return m.matches(call.func, m.Name("zip")) and m.matches(argument, m.Arg(keyword=m.Name("strict")))


def _one_string(node: cst.BaseString) -> list[cst.BaseString]:
    sentence = isinstance(node, cst.SimpleString) and re.fullmatch(r".[A-Z].* .*\..", node.value)
    return [] if sentence else list(operator_string(node))[:1]


def _forced(test: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """A condition that never holds, and one that always does."""
    whole = test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    for operator, other in ((cst.And(), "False"), (cst.Or(), "True")):
        yield cst.BooleanOperation(whole, operator, cst.Name(other))


def _nothing(_node: cst.Expr | cst.Raise) -> list[cst.Pass]:
    return [cst.Pass()]


_OURS = {
    operator_arg_removal: _arguments,
    operator_assignment: _assigned,
    operator_string: _one_string,
}
_OPERATORS: Final[OPERATORS_TYPE] = [(kind, _OURS.get(one, one)) for kind, one in mutation_operators]
_ADDED: Final[OPERATORS_TYPE] = [(cst.Expr, _nothing), (cst.Raise, _nothing)]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. file: in the repository. function: its outermost one, and which of that name it is.

    function is None where the change is not inside a function's body: what is loaded has to be loaded anew.
    line: where its statement begins. before, after: the lines changed. source: of the whole file.
    """

    file: str
    function: tuple[str, int] | None
    line: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """Stays the same while the lines that it changes, and their function, do."""
        return f"{self.file} {self.function[0] if self.function else ''}: {self.before} => {self.after}"

    def is_like(self, same: Same) -> bool:
        """Whether it is the one that is described so."""
        return (
            self.file == f"bot/{same.file}"
            and self.function is not None
            and self.function[0] == same.function
            and self.before.replace(same.text, same.instead) == self.after
        )


def mutants_of(file: str) -> list[Mutant]:
    """All of them, in the order in which they stand there."""
    source = (ROOT / file).read_text(encoding="utf-8")
    module = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    visitor = _Visitor(module.module, source)
    module.visit(visitor)
    functions = functions_of(ast.parse(source))
    found: dict[str, Mutant] = {}
    for line, mutated in visitor.found:
        function = next((key for key, one in functions.items() if line in one.lines), None)
        mutant = Mutant(file, function, line, *_changed(source, mutated), mutated)
        found.setdefault(mutant.name, mutant)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Function:
    """lines: of its body."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    lines: range


def functions_of(tree: ast.Module) -> dict[tuple[str, int], Function]:
    """The outermost functions, by their names and how many of that name came before."""
    found: dict[tuple[str, int], Function] = {}

    def look(body: list[ast.stmt], of: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{of}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{of}{node.name}"
                number = sum(key[0] == name for key in found)
                assert node.end_lineno is not None
                found[name, number] = Function(node, range(node.body[0].lineno, node.end_lineno + 1))

    look(tree.body, "")
    return found


def _changed(before: str, after: str) -> tuple[str, str]:
    """The lines that were there, and those that are there instead."""
    one, other = before.splitlines(), after.splitlines()
    first = next(n for n, (left, right) in enumerate(zip_longest(one, other)) if left != right)
    last = next(n for n, (left, right) in enumerate(zip_longest(one[::-1], other[::-1])) if left != right)
    last = min(last, min(len(one), len(other)) - first)
    return _in_a_line(one[first : len(one) - last]), _in_a_line(other[first : len(other) - last])


def _in_a_line(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module: cst.Module, source: str) -> None:
        super().__init__()
        self._module = module
        self._source = source
        self._in_words = 0
        self._assertions: set[cst.CSTNode] = set()
        self._statements = [0]
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.found: list[tuple[int, str]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if _left_out(node) or node in self._assertions or (self._in_words and m.matches(node, _LITERAL)):
            return False
        self._in_words += m.matches(node, _WORDS)
        if isinstance(node, cst.Call):
            self._assertions.update(one for one in node.args if _is_assertion(node, one))
        if isinstance(node, _STATEMENT):
            self._statements.append(self.get_metadata(PositionProvider, node).start.line)
        for kind, operator in (*_OPERATORS, *_ADDED):
            if isinstance(node, kind):
                for mutated in operator(node):
                    self._add(node, mutated)
        if isinstance(node, cst.If):
            for test in _forced(node.test):
                self._add(node.test, test)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._in_words -= m.matches(original_node, _WORDS)
        if isinstance(original_node, _STATEMENT):
            self._statements.pop()

    def _add(self, node: cst.CSTNode, mutated: cst.CSTNode) -> None:
        self.found.append((self._statements[-1], self._spliced(node, mutated)))

    def _spliced(self, node: cst.CSTNode, mutated: cst.CSTNode) -> str:
        place = self.get_metadata(PositionProvider, node)
        start = self._starts[place.start.line - 1] + place.start.column
        end = self._starts[place.end.line - 1] + place.end.column
        there = self._source[start:end]
        old, new = map(self._module.code_for_node, (node, mutated))
        # A node by itself begins at the margin.
        margin = _margin(there).removesuffix(_margin(old))
        for as_there in (str, str.strip, lambda code: code.replace("\n", f"\n{margin}")):
            if as_there(old) == there:
                return self._source[:start] + as_there(new) + self._source[end:]
        changed = self._module.deep_replace(node, mutated)  # takes long
        assert isinstance(changed, cst.Module)
        return changed.code


def _margin(code: str) -> str:
    """What its second line begins with."""
    found = re.search(r"\n( *)", code)
    return found[1] if found else ""


def _left_out(node: cst.CSTNode) -> bool:
    """Whether neither it nor what is in it is changed."""
    return m.matches(
        node,
        m.Annotation() | m.ImportFrom() | m.Import() | _LOG | m.Expr(value=_LOG | _CHECKPOINT | _LITERAL),
    ) or m.matches(node, m.If(test=m.Name("TYPE_CHECKING")))
