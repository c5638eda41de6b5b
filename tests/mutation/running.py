"""Runs the tests of a mutant in a fork of a process that has loaded and run all of them.

The tests are run once, to see which of them come by which line, and how long each takes. Then, for each
mutant, a child is forked, in which the changed function is given its new code, and the quickest of the
tests that come by are run until one fails. What is changed outside of functions would have to be loaded
anew, and is not tried.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import gc
import os
import re
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, TextIO

import pytest

from tests.mutation.marking import MARK, marked
from tests.mutation.mutants import Mutant, functions_of
from tests.planted.breaks import ROOT

HANGS_AFTER_S = 30
"""Seconds, besides three times what its tests take."""

TRIES = 3
"""How often a test that fails without a change is tried: on a busy machine some are too late."""

KILLED, SURVIVED, HUNG, NOT_COVERED, NOT_TRIED = "killed", "survived", "hung", "not covered", "not tried"


_Living = tuple[tuple[int, ...], FunctionType]
"""A function, and where it is inside of the outermost one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """jobs: so many mutants at once. tests_s: of the processor, for the tests of one, at most; and twice as
    many on the clock, as some tests wait."""

    tests_s: float
    jobs: int


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds that a test takes without a change."""

    processor: float
    clock: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of it. by: the test that failed. seconds: that it took."""

    mutant: Mutant
    became: str
    by: str
    seconds: float


@dataclass(slots=True)
class _Child:
    mutant: Mutant
    items: list[pytest.Item]
    said: int
    begun: float
    folder: Path


class Runner:
    """A plugin of pytest that puts itself in the place of the loop which runs the tests."""

    def __init__(
        self, mutants: Sequence[Mutant], limits: Limits, tell: Callable[[Verdict], None], console: TextIO
    ) -> None:
        self._mutants = mutants
        self._limits = limits
        self._tell = tell
        self._console = console
        self._files = sorted({mutant.file for mutant in mutants})
        self._costs: dict[str, _Cost] = {}
        self._failed: set[str] = set()
        self._passed: set[tuple[str, int]] = set()
        self._children: dict[int, _Child] = {}
        self._killers: dict[str, Counter[str]] = defaultdict(Counter)

    @staticmethod
    def pytest_collection() -> None:
        """Few examples, the same ones every time, and none is made smaller."""
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutation",
            settings.default,
            phases=(Phase.explicit, Phase.generate),
            max_examples=25,
            derandomize=True,
            database=None,
        )
        settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember what failed."""
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all of them once, and then those of each mutant."""
        paths = {str(ROOT / file) for file in self._files}
        self._functions, self._caches = _functions(paths), _caches(paths)
        lines = self._map(session)
        items = {item.nodeid: item for item in session.items if item.nodeid not in self._failed}
        gc.collect()
        gc.freeze()
        for name in sorted(self._failed):
            print(f"not counted, it fails without a change: {name}", file=self._console)
        print(f"{len(items)} tests, {len(self._mutants)} mutants", file=self._console, flush=True)
        for mutant in self._mutants:
            passing = lines[mutant.file].get(mutant.line, ())
            chosen = self._chosen(mutant, [items[name] for name in passing if name in items])
            if not chosen:
                self._tell(Verdict(mutant, NOT_COVERED, "", 0.0))
                continue
            while len(self._children) >= self._limits.jobs:
                self._wait(session)
            self._begin(session, mutant, chosen)
        while self._children:
            self._wait(session)
        return True

    def _map(self, session: pytest.Session) -> dict[str, dict[int, list[str]]]:
        """Which tests come by which line of which file."""
        found: dict[str, dict[int, list[str]]] = {file: defaultdict(list) for file in self._files}
        setattr(builtins, MARK, self._passed.add)
        for file in self._files:
            self._give_all(file, marked(file))
        for item in session.items:
            self._passed.clear()
            for _ in range(TRIES):
                processor, clock = time.process_time(), time.monotonic()
                if self._passes(session, item):
                    break
            self._costs[item.nodeid] = _Cost(time.process_time() - processor, time.monotonic() - clock)
            for file, line in self._passed:
                found[file][line].append(item.nodeid)
        for file in self._files:
            self._give_all(file, _compiled((ROOT / file).read_text(encoding="utf-8"), str(ROOT / file)))
        return found

    def _give_all(self, file: str, module: CodeType) -> None:
        for key, code in _outermost(module).items():
            _give(self._functions[str(ROOT / file), *key], code)

    def _passes(self, session: pytest.Session, item: pytest.Item) -> bool:
        self._failed.discard(item.nodeid)
        _run(session, item)
        return item.nodeid not in self._failed

    def _chosen(self, mutant: Mutant, passing: list[pytest.Item]) -> list[pytest.Item]:
        """Who killed its neighbours, then the file's own tests, then the quickest, while there is time."""
        killers = self._killers[f"{mutant.file}{mutant.function}"]

        def place(item: pytest.Item) -> tuple[int, bool, float]:
            alien = not _is_about(item.path, mutant.file)
            return -killers[item.nodeid], alien, self._costs[item.nodeid].clock

        passing.sort(key=place)
        chosen: list[pytest.Item] = []
        processor_s, clock_s = self._limits.tests_s, 2 * self._limits.tests_s
        for item in passing:
            processor_s -= self._costs[item.nodeid].processor
            clock_s -= self._costs[item.nodeid].clock
            if chosen and min(processor_s, clock_s) < 0:
                break
            chosen.append(item)
        return chosen

    def _begin(self, session: pytest.Session, mutant: Mutant, items: list[pytest.Item]) -> None:
        begun = time.monotonic()
        pid, said, folder = self._fork(session, items, lambda say: self._try(session, mutant, items, say))
        self._children[pid] = _Child(mutant, items, said, begun, folder)

    def _fork(
        self, session: pytest.Session, items: list[pytest.Item], run: Callable[[int], int]
    ) -> tuple[int, int, Path]:
        """A child that ends with what `run` gives, what it says into the pipe, and its temporary files."""
        heard, said = os.pipe()
        folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        pid = os.fork()
        if pid == 0:
            os.close(heard)
            code = 3
            try:
                os.setpgid(0, 0)
                signal.alarm(HANGS_AFTER_S + 3 * int(sum(self._costs[item.nodeid].clock for item in items)))
                cpu = int(20 + self._limits.tests_s + sum(os.times()[:2]))
                resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
                session.config._tmp_path_factory._basetemp = folder  # type: ignore[attr-defined]
                code = run(said)
            finally:
                os._exit(code)
        os.close(said)
        return pid, heard, folder

    def _try(self, session: pytest.Session, mutant: Mutant, items: list[pytest.Item], said: int) -> int:
        """0: no test failed; 1: the one that is told did; 4: the change could not be made."""
        path = str(ROOT / mutant.file)
        assert mutant.function is not None
        try:
            functions = self._functions[path, *mutant.function]
            _give(functions, _changed(mutant, functions))
        except ValueError:
            return 4
        for cache in self._caches[path]:
            cache.cache_clear()
        for item in items:
            os.write(said, f"{item.nodeid}\n".encode())
            if not self._passes(session, item):
                return 1
        return 0

    def _wait(self, session: pytest.Session) -> None:
        pid, status = os.wait()
        child = self._children.pop(pid, None)
        if child is None:
            return
        with os.fdopen(child.said) as said:
            last = (said.read().splitlines() or [""])[-1]
        _clean_up(pid, child.folder)
        code = os.waitstatus_to_exitcode(status)
        became = {0: SURVIVED, 1: KILLED, 4: NOT_TRIED}.get(code, HUNG if code < 0 else KILLED)
        if code == 1:
            at = [item.nodeid for item in child.items].index(last)
            if not self._passes_unchanged(session, child.items[at]):
                if rest := child.items[at + 1 :]:
                    self._begin(session, child.mutant, rest)
                    return
                became = SURVIVED
        if became == KILLED:
            self._killers[f"{child.mutant.file}{child.mutant.function}"][last] += 1
        by = last if became in (KILLED, HUNG) else ""
        self._tell(Verdict(child.mutant, became, by, time.monotonic() - child.begun))

    def _passes_unchanged(self, session: pytest.Session, item: pytest.Item) -> bool:
        """It may have failed for something else. In a fork, as a change can outlast itself."""
        pid, said, folder = self._fork(session, [item], lambda _say: 1 - self._passes(session, item))
        _, status = os.waitpid(pid, 0)
        os.close(said)
        _clean_up(pid, folder)
        return status == 0


def _clean_up(pid: int, folder: Path) -> None:
    """What it has started and left, and did not end because it was ended itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _is_about(test: Path, file: str) -> bool:
    """Whether a test's file is named for the one that is changed, or loads it by its name."""
    *folders, name = Path(file).with_suffix("").parts
    package = ".".join(folders)
    loads = rf"^ *from {package}\.{name} import|^ *from {package} import .*\b{name}\b"
    return test.stem == f"test_{name}" or bool(re.search(loads, test.read_text(encoding="utf-8"), re.M))


def _run(session: pytest.Session, item: pytest.Item) -> None:
    """Run it, and undo what was set up for anything less than the whole session."""
    session.config.hook.pytest_runtest_protocol(item=item, nextitem=session)


def _caches(paths: set[str]) -> dict[str, list[functools._lru_cache_wrapper[Any]]]:
    """What keeps the answers of functions of these files in this process."""
    found: dict[str, list[functools._lru_cache_wrapper[Any]]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, functools._lru_cache_wrapper) and isinstance(one.__wrapped__, FunctionType):
            found[one.__wrapped__.__code__.co_filename].append(one)
    return {path: found[path] for path in paths}


def _give(functions: list[_Living], code: CodeType) -> None:
    """Raises ValueError where it would use other variables from outside, or other functions inside."""
    by_place = dict(_with_inner(code))
    for place, function in functions:
        if place not in by_place:
            raise ValueError("it has other functions inside")
        function.__code__ = by_place[place]


def _changed(mutant: Mutant, functions: list[_Living]) -> CodeType:
    """The function's new code. It names all that it used from outside, also what it uses no more."""
    tree = ast.parse(mutant.source)
    assert mutant.function is not None
    body = functions_of(tree)[mutant.function].node.body
    used = {name for place, one in functions if not place for name in one.__code__.co_freevars}
    if used:
        names: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in sorted(used)]
        body.append(ast.copy_location(ast.If(ast.Constant(False), names, []), body[-1]))
    module = compile(ast.fix_missing_locations(tree), str(ROOT / mutant.file), "exec", dont_inherit=True)
    return _outermost(module)[mutant.function]


def _outermost(module: CodeType) -> dict[tuple[str, int], CodeType]:
    """The code of the outermost functions, by their names and how many of that name came before."""
    found: dict[tuple[str, int], CodeType] = {}
    numbers: Counter[str] = Counter()

    def look(code: CodeType) -> Iterator[CodeType]:
        for one in code.co_consts:
            if isinstance(one, CodeType):
                if "<" in one.co_qualname:
                    continue
                if one.co_flags & 0x01:  # CO_OPTIMIZED: a function, and no class
                    yield one
                else:
                    yield from look(one)

    for code in look(module):
        found[code.co_qualname, numbers[code.co_qualname]] = code
        numbers[code.co_qualname] += 1
    return found


def _with_inner(code: CodeType, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], CodeType]]:
    """The code of a function, and of those inside of it, with their places."""
    yield place, code
    for number, one in enumerate(one for one in code.co_consts if isinstance(one, CodeType)):
        yield from _with_inner(one, (*place, number))


def _compiled(source: str, path: str) -> CodeType:
    return compile(source, path, "exec", dont_inherit=True)


def _functions(paths: set[str]) -> dict[tuple[str, str, int], list[_Living]]:
    """The functions of these files in this process, by the outermost one that they are inside of."""
    gc.unfreeze()
    by_code: dict[CodeType, list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if type(one) is FunctionType and one.__code__.co_filename in paths:
            by_code[one.__code__].append(one)
    found: dict[tuple[str, str, int], list[_Living]] = {}
    for path in paths:
        for key, code in _outermost(_compiled(Path(path).read_text(encoding="utf-8"), path)).items():
            living = [(place, one) for place, inner in _with_inner(code) for one in by_code.get(inner, ())]
            found[path, *key] = living
    return found
