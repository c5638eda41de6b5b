"""What auditors take away: lines, CSV, JSON Lines, a page to print, and a trail that proves itself."""

from __future__ import annotations

import csv
import errno
import json
import re
import stat
from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain.payment import Invoice, InvoiceRef, State
from bot.errors import LedgerUnavailable
from bot.ledger.audit import GENESIS
from bot.ledger.new_file import new_file
from bot.ledger.opening import open_ledger
from bot.ledger.replay import frozen
from bot.ledger.rows import snapshot
from bot.operating.report import _harmless
from tests.command_line import invoke
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import approved, moved, request, request_in

EVIL = "=HYPERLINK(1) <script>alert(1)</script>"
TWO_LINES = "a\n=1+1\r2"


async def audit(*arguments: str, **environment: str) -> str:
    done = await invoke("audit", *arguments, **environment)
    assert done.code == 0, done
    return done.out


@pytest.fixture
async def url(environment: dict[str, str]) -> str:
    """Of a ledger with a payment that was approved and paid, one that was denied, and one that waits."""
    url = environment["LEDGER_URL"]
    async with open_ledger(url) as ledger:
        first = await request(ledger, InvoiceRef("vps", 10101), note=EVIL)
        async with ledger.transaction() as transaction:
            told = snapshot(Invoice(first.ref, EVIL, Decimal("2085.00"), "USD", None))
            first = await transaction.change(first, **told)
            first = await transaction.move(first, State.PENDING_APPROVAL, frozen(first), actor="look-up")
        await approved(ledger, first, "U2")
        for state in (State.APPROVED, State.SENDING, State.PAID):
            first = await moved(ledger, first, state)
        await request_in(ledger, State.DENIED, InvoiceRef("mail", 10301), requester="U7", note=TWO_LINES)
        await request(ledger, InvoiceRef("vps", 10102))
    return url


async def test_payments_are_listed_and_filtered(url: str) -> None:
    """By person, module, invoice, request, outcome and day; what was asked for on the last day counts."""
    whole = await audit("list", LEDGER_URL=url)
    assert [line.split()[1] for line in whole.splitlines()] == ["#1", "#2", "#3"]
    assert "#1 vps 10101 2,085.00 USD PAID asked for by U1 approved by U2" in whole
    for filters, found in (
        (["--person", "U7"], ["#2"]),
        (["--module", "vps"], ["#1", "#3"]),
        (["--invoice", "10102"], ["#3"]),
        (["--request", "2"], ["#2"]),
        (["--outcome", "paid"], ["#1"]),
        (["--from", "2000-01-01", "--to", "2100-01-01"], ["#1", "#2", "#3"]),
        (["--to", "2000-01-01"], []),
        (["--month", "2000-01"], []),
    ):
        told = await audit("list", *filters, LEDGER_URL=url)
        assert [line.split()[1] for line in told.splitlines()] == found, filters


async def test_rows_for_a_spreadsheet_hold_no_formula(url: str, tmp_path: Path) -> None:
    """Whatever somebody wrote, or the API told."""
    await audit("export", "--format", "csv", str(tmp_path / "all.csv"), LEDGER_URL=url)
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8-sig") as file:
        first, second, third = csv.DictReader(file)
    assert (first["outcome"], first["amount"], first["approvers"]) == ("PAID", "2085.00", "U2")
    assert first["note"] == first["description"] == f"'{EVIL}"
    assert (second["requester"], second["outcome"], second["note"]) == ("U7", "DENIED", "a\n'=1+1\r2")
    assert (third["outcome"], third["ended_at"], third["amount"]) == ("REQUESTED", "", "")


@pytest.mark.parametrize("note", ["ok;=1+1", 'ok; "=1+1', "ok\t+1", "ok\r\n@SUM(A1)", "ok;＝1+1"])
async def test_no_formula_begins_where_another_countrys_spreadsheet_parts_a_row(note: str) -> None:
    """There a semicolon parts cells and no comma does, so that what is quoted between commas is not."""
    told = re.sub(r"\s", " ", str(_harmless(note)))
    assert not re.search('[; \t] *"?[=+@＝-]', told), told
    assert told.replace("'", "") == re.sub(r"\s", " ", note)


async def test_a_spreadsheet_is_told_the_encoding(url: str, tmp_path: Path) -> None:
    """By the mark at its head, without which one takes each letter beyond ASCII for two others."""
    await audit("export", "--format", "csv", str(tmp_path / "all.csv"), LEDGER_URL=url)
    assert (tmp_path / "all.csv").read_bytes().startswith(b"\xef\xbb\xbfrequest,")


@pytest.mark.parametrize("form", ["csv", "json", "html"])
async def test_an_approval_that_nobody_gave_is_in_no_list(url: str, tmp_path: Path, form: str) -> None:
    """A row is nobody's word, to an auditor no more than to the bot."""
    async with past_the_ledger(url) as engine:
        forged = "INSERT INTO approvals (request_id, approver, decision, at) VALUES "
        await forge(engine, f"{forged} (1, 'U9', 'approve', '2026-03-02 00:00:00.000000')")
    assert "U9" not in await audit("list", LEDGER_URL=url)
    await audit("export", "--format", form, str(tmp_path / "new"), LEDGER_URL=url)
    assert "U9" not in (tmp_path / "new").read_text()
    assert "U2" in (tmp_path / "new").read_text()


async def test_what_is_printed_says_in_which_zone_its_times_are(url: str, tmp_path: Path) -> None:
    """And the page says which payments it is of: nobody takes a month of one module for everything."""
    await audit("export", "--format", "html", str(tmp_path / "all.html"), LEDGER_URL=url)
    page = (tmp_path / "all.html").read_text()
    assert "<th>Asked (UTC)<th>Ended (UTC)" in page
    assert re.search(r"<p>All payments\. Made on [0-9-]{10} at [0-9:]{5} UTC\.</p>", page), page
    said = "<p>Payments asked for in 2026-11, of the module vps, that came to PAID. Made"
    some = ["--month", "2026-11", "--module", "vps", "--outcome", "PAID"]
    await audit("export", "--format", "html", *some, str(tmp_path / "some.html"), LEDGER_URL=url)
    assert said in (tmp_path / "some.html").read_text()
    lines = (await audit("list", LEDGER_URL=url)).splitlines()
    assert all(re.match(r"[0-9-]{10}T[0-9:]{5}Z #", line) for line in lines), lines


async def test_json_lines_hold_the_same_as_it_is(url: str, tmp_path: Path) -> None:
    """For programs, which take no text for a formula."""
    await audit("export", "--format", "json", "--outcome", "paid", str(tmp_path / "paid"), LEDGER_URL=url)
    (paid,) = map(json.loads, (tmp_path / "paid").read_text().splitlines())
    assert (paid["request"], paid["invoice"], paid["note"]) == (1, 10101, EVIL)


async def test_the_page_to_print_is_harmless_and_ends_with_totals(url: str, tmp_path: Path) -> None:
    """By outcome and currency."""
    await audit("export", "--format", "html", str(tmp_path / "month.html"), LEDGER_URL=url)
    page = (tmp_path / "month.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<td>PAID<td class=amount>1<td class=amount>2,085.00 USD" in page


@pytest.mark.parametrize("form", ["csv", "json", "html", "trail"])
async def test_what_is_exported_is_for_its_user_alone(url: str, tmp_path: Path, form: str) -> None:
    """As the ledger is: it tells who pays what."""
    await audit("export", "--format", form, str(tmp_path / "new"), LEDGER_URL=url)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


async def test_a_disk_that_is_full_leaves_no_part_that_is_taken_for_the_whole(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the writing ends."""

    def full(*_: object) -> list[str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bot.operating.report.as_csv", full)
    done = await invoke("audit", "export", "--format", "csv", str(tmp_path / "new"), LEDGER_URL=url)
    assert (done.code, "No space left" in done.err) == (2, True)
    assert not (tmp_path / "new").exists()


async def test_whoever_is_killed_leaves_no_part_that_is_taken_for_the_whole(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a trail that breaks off in a line it would be said that somebody changed it past the bot."""
    seen: list[bool] = []

    def written(*_: object) -> list[str]:
        seen.append((tmp_path / "new").exists())
        return []

    monkeypatch.setattr("bot.operating.report.as_csv", written)
    await audit("export", "--format", "csv", str(tmp_path / "new"), LEDGER_URL=url)
    assert set(seen) == {False}
    assert (tmp_path / "new").exists()


async def test_a_file_is_written_where_files_have_one_name_only(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a memory stick; and one that is there is not replaced there either."""

    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    await audit("export", "--format", "csv", str(tmp_path / "new"), LEDGER_URL=url)
    assert (tmp_path / "new").read_text(encoding="utf-8-sig").startswith("request,")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    with pytest.raises(LedgerUnavailable), new_file(tmp_path / "late"):
        (tmp_path / "late").write_text("another's")
    assert (tmp_path / "late").read_text() == "another's"


@pytest.mark.parametrize("days", [("--month", "9999-12"), ("--from", "9999-12-01", "--to", "9999-12-31")])
async def test_the_calendar_may_end(url: str, days: tuple[str, ...]) -> None:
    """What lies beyond its last day is nothing to leave out."""
    assert await audit("list", *days, LEDGER_URL=url) == ""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE requests SET requester = x'ff00' WHERE id = 1",
        "UPDATE requests SET note = x'ff00' WHERE id = 1",
        "UPDATE payments SET currency = x'ff00' WHERE id = 1",
        "UPDATE approvals SET approver = x'ff00' WHERE request_id = 1",
    ],
)
@pytest.mark.parametrize("form", ["csv", "json", "html"])
async def test_bytes_in_place_of_a_text_are_a_row_that_cannot_be_read(
    url: str, tmp_path: Path, form: str, statement: str
) -> None:
    """SQLite lets somebody write them; the other rows are told all the same."""
    async with past_the_ledger(url) as engine:
        await forge(engine, statement)
    file = tmp_path / "all"
    done = await invoke("audit", "export", "--format", form, str(file), LEDGER_URL=url)
    assert (done.code, "1 payments cannot be read and are left out" in done.err) == (1, True)
    assert ("10301" in file.read_text(), "10101" in file.read_text()) == (True, False)


async def test_a_trail_that_cannot_be_written_down_is_not_written(url: str, tmp_path: Path) -> None:
    """It is said which event stands in the way."""
    async with past_the_ledger(url) as engine:
        await forge(engine, "UPDATE events SET detail = x'ff00' WHERE id = 3")
    done = await invoke("audit", "export", "--format", "trail", str(tmp_path / "new"), LEDGER_URL=url)
    assert (done.code, "event 3 holds what no event does" in done.err) == (2, True)
    assert not (tmp_path / "new").exists()


async def test_rows_that_cannot_be_read_end_nothing_early_and_are_counted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many stand side by side; what stands behind them is told all the same."""
    monkeypatch.setattr("bot.ledger.records._WINDOW", 1)
    async with past_the_ledger(url) as engine:
        await forge(engine, "UPDATE payments SET amount = 'x' WHERE id < 3")
    left_out = "2 payments cannot be read and are left out"
    listed = await invoke("audit", "list", LEDGER_URL=url)
    assert (listed.code, left_out in listed.err, "#3 vps 10102" in listed.out) == (1, True, True)
    file = tmp_path / "all"
    done = await invoke("audit", "export", "--format", "json", str(file), LEDGER_URL=url)
    assert (done.code, left_out in done.err) == (1, True)
    assert [json.loads(line)["invoice"] for line in file.read_text().splitlines()] == [10102]


async def test_the_head_that_was_kept_is_an_event_and_no_text_in_one(url: str, tmp_path: Path) -> None:
    """Whoever rewrites a trail can write anything into it; a part of a hash is none."""
    file = tmp_path / "trail"
    await audit("export", "--format", "trail", str(file), LEDGER_URL=url)
    head = (await audit("verify", "--file", str(file))).split()[-1]
    async with open_ledger(f"sqlite:///{tmp_path}/other.db") as other:
        await request(other, note=head)
    forged = tmp_path / "forged"
    await audit("export", "--format", "trail", str(forged), LEDGER_URL=f"sqlite:///{tmp_path}/other.db")
    done = await invoke("audit", "verify", "--file", str(forged), "--since-head", head)
    assert (done.code, "cut off or rewritten" in done.err) == (1, True)
    for whole in (("--file", str(file)), ()):
        assert await audit("verify", *whole, "--since-head", GENESIS, LEDGER_URL=url)


@pytest.mark.parametrize("kept", ["", "0123abcd", f"{GENESIS}0", "O" * 64, "é" * 64])
async def test_what_is_no_hash_accuses_nobody(url: str, kept: str) -> None:
    """Mistyped, or a variable that is empty: code 2, as 1 says that somebody rewrote the trail."""
    done = await invoke("audit", "verify", "--since-head", kept, LEDGER_URL=url)
    assert (done.code, "is no hash" in done.err) == (2, True)


async def test_a_hash_is_one_in_whatever_letters_and_between_blanks(url: str) -> None:
    """As it comes out of a message."""
    head = (await audit("verify", LEDGER_URL=url)).splitlines()[0].split()[-1]
    assert await audit("verify", "--since-head", f" {head.upper()}\n", LEDGER_URL=url)


async def test_an_exported_trail_proves_itself(url: str, tmp_path: Path) -> None:
    """A changed, missing or added line is found, and so is a cut end, by a hash that was kept elsewhere."""
    file = tmp_path / "trail"
    await audit("export", "--format", "trail", str(file), LEDGER_URL=url)
    whole = file.read_text()
    told = await audit("verify", "--file", str(file))
    assert told == (await audit("verify", LEDGER_URL=url)).splitlines()[0] + "\n"
    head = told.split()[-1]
    assert await audit("verify", "--file", str(file), "--since-head", head)
    assert await audit("verify", "--since-head", head, LEDGER_URL=url)
    lines = whole.splitlines(keepends=True)
    for forged in (
        whole.replace("U7", "U8"),
        "".join(lines[1:]),
        "".join([*lines, lines[-1]]),
        f"{whole}[]\n",
        f"{whole}{'[' * 100_000}\n",
    ):
        file.write_text(forged)
        assert (await invoke("audit", "verify", "--file", str(file))).code == 1
    file.write_text("".join(lines[:-1]))
    cut = await invoke("audit", "verify", "--file", str(file), "--since-head", head)
    assert (cut.code, "cut off or rewritten" in cut.err) == (1, True)
    cut = await invoke("audit", "verify", "--since-head", "0" * 63 + "1", LEDGER_URL=url)
    assert cut.code == 1


@pytest.mark.parametrize("form", ["csv", "json", "html", "the ledger itself", "nothing"])
async def test_a_file_that_is_no_trail_accuses_nobody(url: str, tmp_path: Path, form: str) -> None:
    """Code 2: of a wrong file nothing is known, and of an emptied one nothing is proved."""
    file = tmp_path / "file"
    if form == "the ledger itself":
        file = Path(url.removeprefix("sqlite:///"))
    elif form == "nothing":
        file.touch()
    else:
        await audit("export", "--format", form, str(file), LEDGER_URL=url)
    done = await invoke("audit", "verify", "--file", str(file))
    assert (done.code, done.out) == (2, "")
    said = "holds no event" if form == "nothing" else "is no exported trail"
    assert f"file {said}" in done.err or f"db {said}" in done.err
    if form == "nothing":
        cut = await invoke("audit", "verify", "--file", str(file), "--since-head", "0" * 63 + "1")
        assert (cut.code, "cut off or rewritten" in cut.err) == (1, True)


async def test_what_is_logged_about_it_is_not_among_the_lines(url: str) -> None:
    """Who reads the lines by a program gets lines; the log goes where errors go."""
    async with past_the_ledger(url) as engine:
        await forge(engine, "UPDATE payments SET amount = 'much' WHERE number = 10101")
    done = await invoke("audit", "list", LEDGER_URL=url)
    assert [line.split()[1] for line in done.out.splitlines()] == ["#2", "#3"]
    assert "a row of the ledger cannot be read" in done.err


async def test_a_file_that_is_there_is_not_replaced_and_an_unread_ledger_leaves_none(
    url: str, tmp_path: Path
) -> None:
    """It may be last month's."""
    (tmp_path / "kept").write_text("last month's")
    done = await invoke("audit", "export", "--format", "csv", str(tmp_path / "kept"), LEDGER_URL=url)
    assert (done.code, (tmp_path / "kept").read_text()) == (2, "last month's")
    done = await invoke(
        "audit", "export", "--format", "csv", str(tmp_path / "new"), LEDGER_URL=f"sqlite:///{tmp_path}/no.db"
    )
    assert (done.code, (tmp_path / "new").exists()) == (2, False)
