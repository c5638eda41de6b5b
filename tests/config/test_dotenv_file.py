"""A line of `.env` that cannot be read is told and nothing starts, for it may be one that restricts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.config import load, load_ledger
from bot.errors import ConfigError
from tests.config.making import REQUIRED


def told(text: str, folder: Path) -> dict[str, str]:
    """What is wrong with such a file, by line."""
    (folder / ".env").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(folder / ".env", REQUIRED)
    return {one.where: f"{one.what}. {one.remedy}" for one in caught.value.problems}


HOW = "Write NAME=value, a value with a blank or # in it as NAME='value', or begin the line with #."


@pytest.mark.parametrize(
    "line",
    [
        "PAY_ALLOWED_CHANNELS: C0APPROVAL",
        "PAY_ALLOWED_CHANNELS C0APPROVAL",
        "PAY_ALLOWED_CHANNELS",
        'PAY_ALLOWED_CHANNELS="C0APPROVAL',
        "PAY_ALLOWED_CHANNELS='' C0APPROVAL",
        "PAY-ALLOWED-CHANNELS=C0APPROVAL",
        '"PAY_ALLOWED_CHANNELS"=C0APPROVAL',
        "set PAY_ALLOWED_CHANNELS=C0APPROVAL",
        "\u200bPAY_ALLOWED_CHANNELS=C0APPROVAL",
        "\x00PAY_ALLOWED_CHANNELS=C0APPROVAL",
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_not_passed_over(line: str, tmp_path: Path) -> None:
    """With it passed over, every channel would do."""
    text = f"# for the team\n\nHTTP_PORT=4000\n\n{line}\n"
    assert told(text, tmp_path) == {".env:5": f"the line cannot be read. {HOW}"}


def test_every_such_line_is_told_at_once_and_none_is_shown(tmp_path: Path) -> None:
    """What stands in it may be a password."""
    (tmp_path / ".env").write_text("BILLING_PASSWORD: secret\nHTTP_PORT=4000\nLEDGER_URL 'secret'\n")
    with pytest.raises(ConfigError) as caught:
        load_ledger(tmp_path / ".env", {})
    assert [one.where for one in caught.value.problems] == [".env:1", ".env:3"]
    assert "secret" not in str(caught.value)


def test_a_quote_that_is_not_closed_swallows_no_other_line(tmp_path: Path) -> None:
    """The lines between two stray quotes are not the value of the first, whatever they would restrict."""
    text = "BILLING_PASSWORD='abc\nPAY_ALLOWED_CHANNELS=C0APPROVAL\n# Bob's'\n"
    assert told(text, tmp_path) == {".env:1": f"the line cannot be read. {HOW}"}
    text = "BILLING_PASSWORD='abc\nPAY_ALLOWED_CHANNELS=C0APPROVAL\n# for Bob'\n"
    assert told(text, tmp_path) == {
        ".env:1": (
            "the value of BILLING_PASSWORD goes on over several lines, and PAY_ALLOWED_CHANNELS is set in one"
            " of them. Close its quote on its own line."
        )
    }
    # Nor is one of another program, which may well have a value of several lines.
    text = text.replace("BILLING_PASSWORD", "OTHERS")
    assert list(told(text, tmp_path)) == [".env:1"]
    (tmp_path / ".env").write_text("OTHERS='-----BEGIN KEY-----\nabc=\n-----END KEY-----'\nHTTP_PORT=4000\n")
    assert load(tmp_path / ".env", REQUIRED).http_port == 4000


def test_a_variable_is_not_set_to_two_things(tmp_path: Path) -> None:
    """Which of the two restricts is not guessed; the same twice, and other programs' variables, are fine."""
    (tmp_path / ".env").write_text(
        "PAY_ALLOWED_CHANNELS=C0APPROVAL\nOTHERS=1\nOTHERS=2\nHTTP_PORT=4000\nHTTP_PORT=4000\n"
    )
    assert load(tmp_path / ".env", REQUIRED).pay_allowed_channels == {"C0APPROVAL"}
    text = "PAY_ALLOWED_CHANNELS=C0APPROVAL\nHTTP_PORT=1\nPAY_ALLOWED_CHANNELS=\n"
    assert told(text, tmp_path) == {
        ".env:3": "PAY_ALLOWED_CHANNELS is set again, to something else than in line 1. Keep one of the two."
    }


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffPAY_ALLOWED_CHANNELS=C0APPROVAL\n",
        "HTTP_PORT=4000\r\nPAY_ALLOWED_CHANNELS=C0APPROVAL\r\n",
        "export PAY_ALLOWED_CHANNELS = 'C0APPROVAL'  # the team's",
        "\u00a0PAY_ALLOWED_CHANNELS=C0APPROVAL",
        "spring.datasource.url=x\nPAY_ALLOWED_CHANNELS=C0APPROVAL",
    ],
)
def test_what_editors_and_shells_write_is_read(text: str, tmp_path: Path) -> None:
    """A byte order mark, Windows' ends of lines, `export`, blanks, comments."""
    (tmp_path / ".env").write_bytes(text.encode())
    assert load(tmp_path / ".env", REQUIRED).pay_allowed_channels == {"C0APPROVAL"}


def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path: Path) -> None:
    """Somebody meant it to be read."""
    (tmp_path / ".env").symlink_to(tmp_path / "mounted-later")
    with pytest.raises(ConfigError, match=r"^\.env: cannot be read"):
        load(tmp_path / ".env", REQUIRED)
    (tmp_path / ".env").unlink()
    assert load(tmp_path / ".env", REQUIRED)


def test_a_file_that_may_not_be_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that cannot be read, and not by an error of Python's."""

    def refuse(_: Path, **_encoding: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match=r"^\.env: cannot be read"):
        load(tmp_path / ".env", REQUIRED)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    """Secrets may come from a program that decrypts them: `--env-file <(…)`."""
    pipe = tmp_path / ".env"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        written = pool.submit(pipe.write_text, "PAY_ALLOWED_CHANNELS=C0APPROVAL\n")
        assert load(pipe, REQUIRED).pay_allowed_channels == {"C0APPROVAL"}
        written.result()


def test_a_folder_is_no_missing_file(tmp_path: Path) -> None:
    """A container's engine makes one where the file that is to be mounted is not there."""
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"^\.env: cannot be read"):
        load(tmp_path / ".env", REQUIRED)
