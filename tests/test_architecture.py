"""What holds the whole together, checked on the source itself: imports, transactions, errors, sizes."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


SOURCES = sorted((ROOT / "bot").rglob("*.py"))


MOST_LINES = 400


MAPPED = {
    *("bot", "billing", "checks", "config", "domain", "ledger", "operating", "payments", "policy", "setup"),
    "slack",
}
"""Packages that begin with a map of themselves."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


class TestImports:
    def test_imports_keep_their_contracts(self) -> None:
        """Layers, a pure domain, one place each for zeep and for Slack: the contracts of pyproject.toml."""
        program = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "0 broken" in done.stdout

    def test_every_module_of_the_bot_stands_in_a_layer(self) -> None:
        """A new part of the bot is put somewhere on purpose."""
        contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        parts = {path.relative_to(ROOT / "bot").parts[0].removesuffix(".py") for path in SOURCES} - {
            "__init__"
        }
        for part in sorted(parts):
            assert re.search(rf'"(.* \| )?bot\.{part}( \| .*)?"', contracts), f"bot.{part} is in no layer"

    def test_what_the_sandbox_imitates_may_import_no_part_of_the_bot(self) -> None:
        """Its contract names every part, so a new one is out of reach as well."""
        contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
            "importlinter"
        ]
        imitations = ["bot.sandbox.local_slack", "bot.sandbox.local_billing"]
        (contract,) = [one for one in contracts["contracts"] if one.get("source_modules") == imitations]
        parts = {path.relative_to(ROOT / "bot").parts[0].removesuffix(".py") for path in SOURCES}
        assert {f"bot.{part}" for part in parts - {"__init__", "sandbox"}} == set(
            contract["forbidden_modules"]
        )


def transactions(tree: ast.Module) -> Iterator[tuple[str, ast.AsyncWith]]:
    """Every `async with ….transaction() as NAME`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.AsyncWith):
            continue
        for item in node.items:
            called = item.context_expr
            if (
                isinstance(called, ast.Call)
                and isinstance(called.func, ast.Attribute)
                and called.func.attr == "transaction"
                and isinstance(item.optional_vars, ast.Name)
            ):
                yield item.optional_vars.id, node


def foreign_waits(name: str, block: ast.AsyncWith) -> list[str]:
    """What is waited for in the block that neither is the transaction's own nor is handed the transaction."""
    found = []
    aliases = {name}
    for statement in block.body:
        for node in ast.walk(statement):
            # `stands = transaction.outbox.mark_delivered` is the transaction's own as well.
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and not isinstance(node.value, ast.Await | ast.Call)
                and _names(node.value) & aliases
            ):
                aliases.add(node.targets[0].id)
            if isinstance(node, ast.AsyncFor | ast.AsyncWith):
                found.append(ast.unparse(node).splitlines()[0])
            if isinstance(node, ast.Await):
                call = node.value
                own = isinstance(call, ast.Call) and _root(call.func) in aliases
                handed = isinstance(call, ast.Call) and any(
                    isinstance(argument, ast.Name) and argument.id in aliases for argument in call.args
                )
                if not own and not handed:
                    found.append(ast.unparse(node))
    return found


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def handed_transactions() -> Iterator[tuple[str, str, ast.AsyncFunctionDef]]:
    """Functions that are handed a transaction: (where, its name, the function)."""
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.AsyncFunctionDef):
                for argument in node.args.args + node.args.kwonlyargs:
                    if argument.annotation and ast.unparse(argument.annotation) == "Transaction":
                        yield f"{relative(path)}:{node.lineno} {node.name}", argument.arg, node


_WHAT_WAS_TOLD = ("outbox", "notices", "now")
"""All that the Slack layer uses of a transaction."""


def beyond_the_outbox(tree: ast.Module) -> list[str]:
    """Lines that use more of a transaction than what was told and its time, or hand it on."""
    found = []
    for name, block in transactions(tree):
        parents = {id(child): node for node in ast.walk(block) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(block):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                parent = parents[id(node)]
                if not (isinstance(parent, ast.Attribute) and parent.attr in _WHAT_WAS_TOLD):
                    found.append(ast.unparse(parent))
    return found


class TestTransactions:
    def test_nothing_foreign_is_waited_for_in_a_transaction(self) -> None:
        """No call of Slack, of the billing API or of a clock happens while the database is held."""
        blocks = [(path, *found) for path in SOURCES for found in transactions(tree_of(path))]
        assert len(blocks) > 20, "the search finds nothing"
        for path, name, block in blocks:
            assert foreign_waits(name, block) == [], f"{relative(path)}:{block.lineno}"

    def test_who_is_handed_a_transaction_waits_for_nothing_foreign_either(self) -> None:
        """So the rule holds to the end of the way."""
        functions = list(handed_transactions())
        assert len(functions) >= 5, "the search finds nothing"
        for where, name, function in functions:
            block = ast.AsyncWith(items=[], body=function.body)
            assert foreign_waits(name, block) == [], where

    def test_slack_decides_nothing_about_money(self) -> None:
        """The adapter writes only what it told: it moves and changes no payment, and records no event."""
        trees = {path: tree_of(path) for path in SOURCES if relative(path).startswith("bot/slack/")}
        assert sum(1 for tree in trees.values() for _ in transactions(tree)) >= 5, "the search finds nothing"
        found = {relative(path): beyond_the_outbox(tree) for path, tree in trees.items()}
        assert {path: uses for path, uses in found.items() if uses} == {}
        for path, tree in trees.items():
            named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            taken = ast.unparse(tree).count(".transaction()")
            assert taken == len(list(transactions(tree))), f"{relative(path)}: a transaction without a name"
            assert not named & {"move", "change", "add_approval", "void_approvals"}, relative(path)

    def test_the_search_would_find_a_move(self) -> None:
        """Also one that is called by another name, or left to somebody else."""
        bad = ast.parse(
            "async def f(self):\n"
            "    async with self._ledger.transaction() as transaction:\n"
            "        await transaction.outbox.add(payment.request, transaction.now)\n"
            "        await transaction.move(payment, State.CANCELLED)\n"
            "        change = transaction.change\n"
            "        await cancel(transaction, payment)\n"
        )
        assert sorted(beyond_the_outbox(bad)) == [
            "cancel(transaction, payment)",
            "transaction.change",
            "transaction.move",
        ]

    def test_the_search_would_find_a_foreign_wait(self) -> None:
        """A check that finds nothing anywhere would prove nothing."""
        bad = ast.parse(
            "async def f(self):\n"
            "    async with self._ledger.transaction() as transaction:\n"
            "        await transaction.record('x')\n"
            "        await helper(transaction, 1)\n"
            "        await self._billing.make_payment(ref)\n"
            "        await asyncio.sleep(1)\n"
            "        async with session.post(url) as answer:\n"
            "            pass\n"
        )
        ((name, block),) = transactions(bad)
        assert foreign_waits(name, block) == [
            "await self._billing.make_payment(ref)",
            "await asyncio.sleep(1)",
            "async with session.post(url) as answer:",
        ]


CATCH_ALL = {"Exception", "BaseException"}


ALLOWED = {
    "bot/billing/calls.py": "failure_of(error",
    "bot/payments/crowd.py": "log.exception('not served together'",
    "bot/singleflight.py": "set_exception(error)",
    "bot/slack/rendering.py": "exc_info=True",
}
"""Where anything at all is caught, and what must become of it there: zeep's errors are an outcome, what one
asked for all of them is raised to all, what went wrong with many at once is logged and tried one by one, and
what cannot be put into words is logged and told in a plain line. Nothing is dropped."""


def catch_alls(tree: ast.Module) -> Iterator[ast.AST]:
    """Handlers that catch everything and do not raise again, and what suppresses everything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = _names(node.type) if node.type else CATCH_ALL
            if caught & CATCH_ALL and not any(isinstance(each, ast.Raise) for each in ast.walk(node)):
                yield node
        suppresses = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if suppresses and _names(node) & CATCH_ALL:
            yield node


class TestErrors:
    def test_nothing_swallows_every_error(self) -> None:
        """An error that nobody thought of ends where it is seen."""
        found = [(relative(path), node) for path in SOURCES for node in catch_alls(tree_of(path))]
        assert {path for path, _ in found} == set(ALLOWED)
        assert all(ALLOWED[path] in ast.unparse(node) for path, node in found)


def _is_call(node: ast.stmt) -> bool:
    """A call for its effect. Making an object, such as an index of a table, is a declaration."""
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return called is not None and not ast.unparse(called)[0].isupper()


class TestFiles:
    def test_a_file_fits_in_the_head(self) -> None:
        """One subject, and never more than 400 lines."""
        lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
        assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}

    def test_a_package_names_all_that_is_in_it(self) -> None:
        """Its docstring is a map: nothing is missing in it, so whoever reads it knows what there is."""
        maps = [path for path in SOURCES if path.name == "__init__.py" and path.parent.name in MAPPED]
        assert len(maps) == len(MAPPED)
        missing = []
        for path in maps:
            told = ast.get_docstring(tree_of(path)) or ""
            for one in sorted({each.stem for each in path.parent.glob("*.py")} - {"__init__"}):
                # `pay_form (pay_form_view, _fill)`: the last word of a name stands for it.
                if not re.search(rf"\b({one}|_{one.rpartition('_')[2]})\b", told):
                    missing.append(f"{relative(path)}: {one}")
        assert missing == []

    def test_no_two_rooms_have_a_file_of_one_name(self) -> None:
        """Whoever looks for `answers` or `lists` finds one."""
        rooms = ("slack", "payments", "billing", "ledger", "domain", "domain/policy", "config")
        names = [path.stem for room in rooms for path in (ROOT / "bot" / room).glob("*.py")]
        twins = {name for name in names if names.count(name) > 1} - {"__init__"}
        assert twins == set()

    def test_a_file_says_why_it_exists(self) -> None:
        """Every module that holds anything begins with a docstring."""
        assert [
            relative(path) for path in SOURCES if tree_of(path).body and not ast.get_docstring(tree_of(path))
        ] == []

    def test_nothing_happens_at_import(self) -> None:
        """Importing opens nothing and starts nothing: the composition root does, when it is told to."""
        found = [
            f"{relative(path)}:{node.lineno}: {ast.unparse(node).splitlines()[0]}"
            for path in SOURCES
            for node in tree_of(path).body
            if relative(path) != "bot/ledger/migrations/env.py"  # Alembic runs it as a script
            and (isinstance(node, ast.For | ast.While | ast.With) or _is_call(node))
        ]
        assert found == []
