"""What auditors take away: lines, CSV, JSON Lines, a page to print, and a trail that proves itself."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain.payment import Invoice, InvoiceRef, State
from bot.ledger.opening import open_ledger
from bot.ledger.replay import frozen
from bot.ledger.rows import snapshot
from tests.command_line import invoke
from tests.ledger.making import approved, moved, request, request_in

EVIL = "=HYPERLINK(1) <script>alert(1)</script>"


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
        await request_in(ledger, State.DENIED, InvoiceRef("mail", 10301), requester="U7")
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
    with (tmp_path / "all.csv").open(newline="") as file:
        first, second, third = csv.DictReader(file)
    assert (first["outcome"], first["amount"], first["approvers"]) == ("PAID", "2085.00", "U2")
    assert first["note"] == first["description"] == f"'{EVIL}"
    assert (second["requester"], second["outcome"]) == ("U7", "DENIED")
    assert (third["outcome"], third["ended_at"], third["amount"]) == ("REQUESTED", "", "")


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
