"""The text after /pay: nothing is guessed, nothing raises, and every slip is answered with the remedy."""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.batch import MOST_LINES
from bot.domain.command import (
    HELP,
    MAX_NOTE,
    MAX_TEXT,
    Command,
    Help,
    ListUnpaid,
    Mine,
    OpenForm,
    Pause,
    Pending,
    Report,
    Request,
    RequestDue,
    Resolve,
    Resume,
    Scheduled,
    StatusOfInvoice,
    StatusOfPayment,
    parse,
)
from bot.domain.payment import DOCUMENTED_MODULES, MAX_INVOICE, InvoiceRef
from bot.domain.schedule import PayOn
from bot.domain.typed_words import Misunderstood, read_words
from tests.domain.saying import said

NUMBERS = st.integers(1, MAX_INVOICE)
VPS_TWO = (InvoiceRef("vps", 10101), InvoiceRef("vps", 10102))
AS_ON = "as on 2026-01-01"
MODULES = st.sampled_from(DOCUMENTED_MODULES)
BLANKS = st.text(" \t\n\r\u00a0\u202f\u2009\u3000\u200b\ufeff\u2060", min_size=1, max_size=3)
NOTES = st.text(string.ascii_letters + "äß日 &<>@!", min_size=1, max_size=60).map(
    lambda note: " ".join(note.split())
)
OWN_WORDS = (
    "list",
    "status",
    "mine",
    "pending",
    "scheduled",
    "resolve",
    "report",
    "pause",
    "resume",
    "help",
    "on",
    "due",
    "paid",
    "not-paid",
    "not",
)
ODD_WORDS = ("floating", "ips", "VPS", "vps12", "#", "#42", "007", "1e4", "+5", "9" * 900)
ODD_DIGITS = ("٣", "\uff11\uff12", "²", "½")
MARKUP = ("<@U1|bob>", "<http://a|b>", "&lt;vps&gt;", "&amp;", "\x00", "\ud800")
WORDS = st.sampled_from((*DOCUMENTED_MODULES, *OWN_WORDS, *ODD_WORDS, *ODD_DIGITS, *MARKUP))
LIKELY = st.lists(WORDS | st.text(max_size=8) | st.integers().map(str), max_size=6).map(" ".join)


@given(st.text() | LIKELY, st.sampled_from([DOCUMENTED_MODULES, (), ("list", "status", "x")]))
@example("vps " + "9" * 900, DOCUMENTED_MODULES)
@example("x" * 500 + " due", DOCUMENTED_MODULES)
@example("\U00010d28 due", DOCUMENTED_MODULES)
def test_no_text_raises_and_every_misunderstanding_is_told_in_two_lines(
    text: str, modules: tuple[str, ...]
) -> None:
    """Whatever is typed, the answer can be shown: short, printable, and with a remedy."""
    command = parse(text, modules)
    if isinstance(command, Misunderstood):
        for line in (command.problem, command.remedy):
            assert line
            assert line.isprintable()
            assert len(line) < 400
            assert line[-1] in ".?"


@given(st.text() | LIKELY)
def test_an_accepted_request_holds_the_very_digits_that_were_typed(text: str) -> None:
    """No text is ever read as a number that does not stand in it as a word of its own."""
    command = parse(text, DOCUMENTED_MODULES)
    refs = command.refs if isinstance(command, Request) else ()
    if isinstance(command, StatusOfInvoice):
        refs = (command.ref,)
    words = {word.removeprefix("#") for word in read_words(text.replace(",", " ")).words}
    for ref in refs:
        assert str(ref.number) in words
        assert ref.module in DOCUMENTED_MODULES


@given(MODULES, NUMBERS, BLANKS, st.sampled_from(["", "#"]), st.sampled_from([str.upper, str.title]))
def test_a_request_is_read_back_as_it_was_meant(
    module: str, number: int, blank: str, sign: str, cased: Callable[[str], str]
) -> None:
    """Any case, surplus blanks of any kind, and one # before the number make no difference."""
    typed = f"{blank}{cased(module)}{blank}{sign}{number}{blank}"
    ref = InvoiceRef(module, number)
    assert parse(typed, DOCUMENTED_MODULES) == Request((ref,))
    assert parse(f"{cased('status')}{typed}", DOCUMENTED_MODULES) == StatusOfInvoice(ref)


@given(NUMBERS, NOTES.filter(bool), st.booleans())
def test_resolve_keeps_the_note_as_it_was_written(number: int, note: str, paid: bool) -> None:
    """Slack's escapes are undone, and nothing else of the note is changed."""
    escaped = note.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    command = parse(f"resolve #{number} {'paid' if paid else 'Not-Paid'} {escaped}", ())
    assert command == Resolve(number, paid, note)


VPS_1_2_3 = tuple(InvoiceRef("vps", number) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", OpenForm()),
        (" \u00a0\u200b\t", OpenForm()),
        ("help", Help()),
        ("HELP me please", Help()),
        ("mine", Mine()),
        ("pending", Pending()),
        ("list", ListUnpaid(None)),
        ("list Vps", ListUnpaid("vps")),
        ("list floating ips", ListUnpaid("floating_ips")),
        ("floating-ips 12", Request((InvoiceRef("floating_ips", 12),))),
        ("Floating IPs #12", Request((InvoiceRef("floating_ips", 12),))),
        ("vps 1 2 3", Request(VPS_1_2_3)),
        ("vps 1, 2, 3", Request(VPS_1_2_3)),
        ("vps 1,2,3", Request(VPS_1_2_3)),
        ("vps 1\nvps 2\nvps 3", Request(VPS_1_2_3)),
        ("vps 1 2 1 3 vps 2", Request(VPS_1_2_3)),
        ("vps 1 mail 1", Request((InvoiceRef("vps", 1), InvoiceRef("mail", 1)))),
        (
            "floating ips 5 6 VPS 1",
            Request((*(InvoiceRef("floating_ips", one) for one in (5, 6)), VPS_1_2_3[0])),
        ),
        ("vps 1 note: for the <new> office", Request((VPS_1_2_3[0],), "for the <new> office")),
        ("vps 1 2 3 Note:x", Request(VPS_1_2_3, "x")),
        ("vps overdue", RequestDue(("vps",), None)),
        ("all Overdue", RequestDue(None, None)),
        ("vps, mail overdue note: month end", RequestDue(("vps", "mail"), None, "month end")),
        ("all due 7d", RequestDue(None, 7)),
        ("floating ips due 30 days", RequestDue(("floating_ips",), 30)),
        ("vps due today", RequestDue(("vps",), 0)),
        ("resolve 42 vps 7 not-paid seen", Resolve(42, False, "seen", InvoiceRef("vps", 7))),
        (
            "resolve 42 floating ips 7 paid seen it",
            Resolve(42, True, "seen it", InvoiceRef("floating_ips", 7)),
        ),
        ("vps 2147483647", Request((InvoiceRef("vps", 2147483647),))),
        ("status 42", StatusOfPayment(42)),
        ("report", Report(None)),
        ("Report 2026-11", Report(date(2026, 11, 1))),
        ("pause", Pause("")),
        ("pause the  books\nare closed", Pause("the books are closed")),
        ("resume", Resume()),
        ("status #42", StatusOfPayment(42)),
        ("resolve 42 paid seen in MyAdmin", Resolve(42, True, "seen in MyAdmin")),
        ("resolve 42 not paid  Ann\nasked", Resolve(42, False, "Ann asked")),
        ("resolve 42 paid 👩‍💻 a\x00b", Resolve(42, True, "👩‍💻 a b")),
        ("resolve 42 paid half \ud800", Resolve(42, True, "half ?")),
    ],
)
def test_what_is_understood(text: str, command: Command) -> None:
    """The grammar, by example."""
    assert parse(text, DOCUMENTED_MODULES) == command


@pytest.mark.parametrize(
    "number",
    [
        *("0", "007", "00", "-5", "+5", "1e4", "10003.7", "12.", "1_000", "0x10", "12ab"),
        *("٤٢", "\uff14\uff12", "²", "Ⅻ", "#", "##5", "5#", "2147483648", "9" * 900, "nan"),
        *("`5`", "5\u20e3", "&#53;", "%35"),
    ],
)
def test_anything_but_plain_digits_in_range_is_no_invoice(number: str) -> None:
    """Servers pay something for most of these; here none of them is a number."""
    assert "Type digits" in said(f"vps {number}")
    assert "Type digits" in said(f"status vps {number}")


def test_an_invisible_character_never_joins_two_numbers() -> None:
    """A zero-width space inside a number parts it; two numbers are shown before anything is asked for."""
    assert parse("vps 12\u200b34", ["vps"]) == Request((InvoiceRef("vps", 12), InvoiceRef("vps", 34)))


@given(LIKELY, st.sampled_from(["approve", "all", "pay", "retry", "unpaid"]))
def test_a_near_command_is_never_acted_on(rest: str, word: str) -> None:
    """It is answered; only a module of that name is a command."""
    assert isinstance(parse(f"{word} {rest}", DOCUMENTED_MODULES), Misunderstood)
    assert parse(f"{word} 5", [word]) == Request((InvoiceRef(word, 5),))


def test_the_longest_text_and_the_longest_note_are_read() -> None:
    """The limits themselves are within the limits."""
    note = "n" * MAX_NOTE
    assert parse(f"resolve 42 paid {note}", ()) == Resolve(42, True, note)
    assert parse("help".ljust(MAX_TEXT), ()) == Help()


def test_the_modules_are_those_of_the_api() -> None:
    """A module that the API has added is understood; one that it has dropped is not."""
    assert parse("dedicated 5", ["dedicated"]) == Request((InvoiceRef("dedicated", 5),))
    assert "The modules are: dedicated." in said("vps 5", ["dedicated"])
    assert "Which invoice of approve?" in said("approve", ["approve"])
    assert "Type /pay dedicated 12345" in said("dedicated", ["dedicated"])
    assert "/pay help" in said("vps 5", [])
    assert "Type /pay status dedicated 12345" in said("status", ["dedicated", "licenses"])
    assert "Type /pay status vps 12345" in said("status", [])


def test_the_bots_own_words_win_over_modules_of_the_same_name() -> None:
    """A module called list cannot take the list away."""
    assert parse("list", ["list", "vps"]) == ListUnpaid(None)
    assert parse("help 5", ["help"]) == Help()


def test_the_longest_module_that_fits_is_meant() -> None:
    """Where one module's name begins another's, blanks are read as part of the longer one."""
    modules = ["floating", "floating_ips"]
    assert parse("floating ips 5", modules) == Request((InvoiceRef("floating_ips", 5),))
    assert parse("floating 5", modules) == Request((InvoiceRef("floating", 5),))


def test_the_help_names_every_command_and_its_examples_work() -> None:
    """What the help tells people to type is understood."""
    usages = [usage.removeprefix("/pay").strip() for usage, _ in HELP]
    examples = {
        "<module>": "vps",
        "<invoice>": "12345",
        "[module]": "vps",
        "paid|not-paid": "paid",
        "<note>": "seen",
        "<why>": "needed",
        "…": "12346",
        "[2026-11]": "2026-11",
        "[module": "",
        "invoice]": "",
    }
    understood = set()
    for usage in usages:
        command = parse(" ".join(examples.get(word, word) for word in usage.split()), ["vps"])
        assert not isinstance(command, Misunderstood), usage
        understood.add(type(command))
    assert understood == set(Command.__args__) - {Misunderstood}


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("vps 10101 on due date", Request((InvoiceRef("vps", 10101),), None, PayOn())),
        ("vps 10101, 10102 ON Due", Request(VPS_TWO, None, PayOn())),
        ("vps 10101 10102 on due-date note: as on 2026-01-01", Request(VPS_TWO, AS_ON, PayOn())),
        ("vps 10101 10102 on 2026-12-05", Request(VPS_TWO, None, PayOn(date(2026, 12, 5)))),
        ("vps due 30d on due date", RequestDue(("vps",), 30, None, PayOn())),
        ("all overdue on 2026-12-05 note: x", RequestDue(None, None, "x", PayOn(date(2026, 12, 5)))),
        ("add on 5 on due", Request((InvoiceRef("add_on", 5),), None, PayOn())),
        ("vps 10101 on due date, note: x", Request((InvoiceRef("vps", 10101),), "x", PayOn())),
        ("vps 10101 on 2026-12-05,", Request((InvoiceRef("vps", 10101),), None, PayOn(date(2026, 12, 5)))),
        ("vps 10101 note: as on due date.", Request((InvoiceRef("vps", 10101),), "as on due date.")),
        ("all, overdue", RequestDue(None, None)),
        ("scheduled", Scheduled()),
    ],
)
def test_a_day_stands_behind_what_is_to_be_paid(text: str, command: Command) -> None:
    """The due date of each, or one day for all."""
    assert parse(text, [*DOCUMENTED_MODULES, "add_on"]) == command


@pytest.mark.parametrize(
    "day",
    [
        "",
        "5.12.2026",
        "05/12/2026",
        "2026-02-30",
        "2026-12-5",
        "friday",
        "20261205",
        "5",
        "due 7d",
        "the due date",
        "2026-12-05 2026-12-06",
        "due date please",
        "٢٠٢٦-12-05",
        "2026-12-05T08:00",
        "due 2026-12-05",
    ],
)
def test_a_day_that_is_written_otherwise_is_asked_for_and_never_left_away(day: str) -> None:
    """5/12 is another day to others, and what is left away would be paid at once."""
    answer = said(f"vps 10101 on {day}")
    assert "2026-12-05, or on due date" in answer


@given(st.dates(), st.text(max_size=12))
def test_a_day_is_the_one_that_was_typed(day: date, more: str) -> None:
    """Nothing else is ever read as a day, and no day as anything else."""
    assert parse(f"vps 5 on {day}", ["vps"]) == Request((InvoiceRef("vps", 5),), None, PayOn(day))
    read = parse(f"vps 5 on {more}", ["vps"])
    if isinstance(read, Request) and read.note is None:
        assert read.pay_on is not None
        assert str(read.pay_on) in more.lower()


def test_a_hundred_invoices_are_taken_and_no_more() -> None:
    """A request holds so many."""
    hundred = " ".join(map(str, range(1, MOST_LINES + 1)))
    assert parse(f"vps {hundred}", ["vps"]) == Request(
        tuple(InvoiceRef("vps", number) for number in range(1, MOST_LINES + 1))
    )
    assert "These are 101 invoices, and I take 100 at once." in said(f"vps {hundred} 101")


@given(st.lists(st.tuples(st.sampled_from(DOCUMENTED_MODULES), NUMBERS), min_size=1, max_size=20), st.data())
def test_several_are_read_back_as_they_were_meant(typed: list[tuple[str, int]], data: st.DataObject) -> None:
    """Whatever parts them, every one is asked for once, in its order, and none that was not typed."""
    words = [f"{module}{data.draw(st.sampled_from((' ', ' #')))}{number}" for module, number in typed]
    text = data.draw(st.sampled_from((" ", ", ", "\n", " , "))).join(words)
    assert parse(text, DOCUMENTED_MODULES) == Request(
        tuple(dict.fromkeys(InvoiceRef(module, number) for module, number in typed))
    )
