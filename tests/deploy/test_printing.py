"""`python -m bot deploy`: lists the ways to run the bot, and prints each as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import config
from bot.deploy import FILES, file
from tests.command_line import ROOT, invoke

FOLDER = ROOT / "bot" / "deploy"


async def test_alone_it_lists_what_there_is() -> None:
    """A line each, with what it is for."""
    ended = await invoke("deploy")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split("  ")[0] for line in ended.out.splitlines()] == list(FILES)


@pytest.mark.parametrize("name", FILES)
async def test_each_is_printed_as_it_is(name: str) -> None:
    """So that it can be written to a file: nothing before it, nothing after it."""
    ended = await invoke("deploy", name)
    assert (ended.code, ended.out, ended.err) == (0, (FOLDER / name).read_text(encoding="utf-8"), "")


async def test_another_name_is_refused_with_those_that_there_are() -> None:
    """Code 2, and nothing that would end up in a file."""
    ended = await invoke("deploy", "Dockerfile")
    assert (ended.code, ended.out) == (2, "")
    assert all(name in ended.err for name in FILES)


def test_whatever_lies_there_is_listed() -> None:
    """A file that is not listed would be found by nobody."""
    lying = {path.name for path in FOLDER.iterdir() if path.is_file()}
    assert lying - {"__init__.py"} == FILES.keys()


def test_what_has_a_home_elsewhere_is_no_copy() -> None:
    """It is a link, which becomes a file in the wheel: so the two cannot differ."""
    assert (FOLDER / "env.example").is_symlink()
    assert (FOLDER / "env.example").resolve() == ROOT / ".env.example"
    assert (ROOT / "bot" / "manifest.yml").resolve() == ROOT / "manifest.yml"


def test_each_says_at_its_head_what_it_is(tmp_path: Path) -> None:
    """Whoever opens it reads first what to do with it; what holds only data says so by its name."""
    for name in FILES.keys() - {"dashboard.json"}:
        assert file(name).startswith("# "), name


def test_every_variable_that_is_named_is_one_of_the_bots() -> None:
    """A variable that nobody reads would do nothing, and nobody would notice."""
    for name in ("Containerfile", "compose.yaml"):
        named = {word for word in config.VARIABLES if word in file(name)}
        assert {"LEDGER_URL", "HTTP_HOST", "STATUS_PORT"} <= named, name
