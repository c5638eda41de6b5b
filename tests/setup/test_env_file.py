"""What is written into `.env` is read back as it was given, and nothing else there changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import example, given
from hypothesis import strategies as st

from bot.config import VARIABLES, given_in
from bot.errors import ConfigError
from bot.setup.env_file import text_of, values_in, with_answers, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))
HARD = st.text(st.sampled_from(list("ab '\"\\#$={}%!`~\n\t;&|()éß"))) | TEXTS
LINES = st.lists(
    st.sampled_from(
        [
            *(
                "# a comment",
                "",
                "   ",
                "export HTTP_HOST=::1",
                "A='b # c' # kept",
                'B="x\\"y"#kept',
                "C = d # kept",
            ),
            *(
                "D='two\nlines'",
                "not a variable",
                "E",
                "F=",
                "G= # kept",
                "'quoted key'=1",
                "A=again",
                "=",
                "H='open",
            ),
            *("SLACK_BOT_TOKEN=xoxb-old # the old one", "BILLING_PASSWORD='it\\'s'", "X=1\r"),
        ]
    )
)


@given(
    answers=st.dictionaries(st.sampled_from(VARIABLES), HARD), lines=LINES, end=st.sampled_from(["", "\n"])
)
@example({"BILLING_PASSWORD": "back\\"}, ["HTTP_PORT=1"], "\n")
@example({"BILLING_PASSWORD": " a #b'c\"d$e${HOME}\\n"}, [], "")
@example({"SLACK_BOT_TOKEN": ""}, ["SLACK_BOT_TOKEN=xoxb-old # the old one", "X=1"], "")
def test_any_value_comes_back_and_nothing_else_changes(
    answers: dict[str, str], lines: list[str], end: str
) -> None:
    """Quotes, #, $, blanks, backslashes and breaks of a line, in any file; or it is refused."""
    text = "\n".join(lines) + end
    before = values_in(text)
    try:
        after = values_in(with_answers(text, answers))
    except ConfigError:
        assert "H='open" in lines, "only a file that is broken may refuse a value"
        return
    assert after == before | answers


@given(value=HARD.map(str.strip).filter(bool))
def test_the_bot_reads_what_was_written(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """From the file, by its own way of reading; it takes no blanks around a value."""
    file = tmp_path_factory.getbasetemp() / "round.env"
    write(file, with_answers("", {"BILLING_PASSWORD": value}))
    assert given_in(file, {}) == {"BILLING_PASSWORD": value}
    assert dotenv_values(file, interpolate=False) == {"BILLING_PASSWORD": value}


def test_comments_and_unknown_lines_stay() -> None:
    """Each line where it was, and the comment behind a value that is new."""
    text = "# ours\nexport SLACK_BOT_TOKEN=old  # from the page\n\nOTHER=1 # theirs\nLEDGER_URL='a b'#x\nlast"
    answers = {"SLACK_BOT_TOKEN": "xoxb-1", "LEDGER_URL": "sqlite:///c d", "BILLING_USERNAME": "me"}
    assert with_answers(text, answers) == (
        "# ours\nexport SLACK_BOT_TOKEN=xoxb-1 # from the page\n\nOTHER=1 # theirs\n"
        "LEDGER_URL='sqlite:///c d' #x\nlast\nBILLING_USERNAME=me\n"
    )


def test_what_is_the_same_is_not_touched() -> None:
    """However it was quoted."""
    text = 'BILLING_PASSWORD = "a b"   # so\r\n'
    assert with_answers(text, {"BILLING_PASSWORD": "a b"}) == text


def test_a_variable_that_stood_there_twice_stands_there_once() -> None:
    """The last counted; an old secret in the first would stay for ever."""
    assert (
        with_answers("A=1\nLEDGER_URL=x\nB=2\nLEDGER_URL=y\n", {"LEDGER_URL": "z"})
        == "A=1\nB=2\nLEDGER_URL=z\n"
    )


@pytest.mark.parametrize("value", ["a\rb", "\r\n"])
def test_what_cannot_be_read_back_is_refused(value: str) -> None:
    """And the value is not said."""
    with pytest.raises(ConfigError, match="cannot be written down so that it is read back"):
        with_answers("", {"BILLING_PASSWORD": value})


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """Also where others could before, and whatever the umask."""
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    file.chmod(0o644)
    before = os.umask(0)
    try:
        write(file, with_answers(text_of(file), {"LEDGER_URL": "x"}))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "A=1\nLEDGER_URL=x\n"
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe, a folder, /dev/null."""
    make(tmp_path / ".env")
    with pytest.raises(ConfigError, match="is no file"):
        write(tmp_path / ".env", "A=1\n")
    assert not (tmp_path / ".env").is_file()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can write for somebody else")
def test_who_could_read_it_still_can(tmp_path: Path) -> None:
    """The bot's user, whose it is, or whose group alone may read root's file; not everybody."""
    file = tmp_path / ".env"
    file.write_text("A=1\n")
    for owner, mode, then in ((12345, 0o644, 0o600), (0, 0o640, 0o640), (0, 0o660, 0o640), (0, 0o600, 0o600)):
        os.chown(file, owner, 54321)
        file.chmod(mode)
        write(file, "A=2\n")
        found = file.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (owner, 54321, then)


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    real, link = tmp_path / "real.env", tmp_path / ".env"
    real.write_text("A=1\n")
    link.symlink_to(real)
    write(link, "A=2\n")
    assert link.is_symlink()
    assert real.read_text() == "A=2\n"


def test_where_it_cannot_be_written_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old file, and nothing beside it."""
    file = tmp_path / ".env"
    file.write_text("A=1\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left") as refused:
        write(file, "BILLING_PASSWORD=hunter2\n")
    assert "hunter2" not in str(refused.value)
    assert file.read_text() == "A=1\n"
    assert os.listdir(tmp_path) == [".env"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write(tmp_path / "no" / ".env", "A=1\n")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """It is not overwritten by what was made of half of it."""
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        text_of(file)
