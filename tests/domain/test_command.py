"""The text after /pay: nothing is guessed, nothing raises, and every slip is answered with the remedy."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
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
    Pending,
    Request,
    RequestDue,
    Resolve,
    Scheduled,
    StatusOfInvoice,
    StatusOfPayment,
    parse,
)
from bot.domain.payment import DOCUMENTED_MODULES, MAX_INVOICE, InvoiceRef
from bot.domain.schedule import PayOn
from bot.domain.typed_words import Misunderstood, read_words

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


def said(text: str, modules: Sequence[str] = DOCUMENTED_MODULES) -> str:
    """The answer to something that is not understood, as one text."""
    answer = parse(text, modules)
    assert isinstance(answer, Misunderstood), answer
    return f"{answer.problem} {answer.remedy}"


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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("vsp 12345", 'I know no module "vsp". Did you mean /pay vps 12345?'),
        ("web hosting 7", 'I know no module "web hosting". Did you mean /pay webhosting 7?'),
        ("domain", 'I know no module "domain". Did you mean /pay domains?'),
        ("hlep", 'I know no module "hlep". Did you mean /pay help?'),
        ("reprot", 'I know no module "reprot". Did you mean /pay report?'),
        ("status server 7", 'I know no module "server". Did you mean /pay status servers 7?'),
        ("list server", 'I know no module "server". Did you mean /pay list servers?'),
        ("xyzzy 7", 'I know no module "xyzzy". The modules are: domains, vps, backups,'),
        ("a&amp;b 7", 'I know no module "a&b".'),
        ("12345 vps", "The module comes first, then the invoice. Type /pay vps 12345."),
        ("status 5 floating ips", "Type /pay status floating_ips 5."),
        ("12345", "Which module does invoice 12345 belong to? Type /pay <module> 12345, or"),
        ("vps", "Which invoice of vps? Type /pay vps 12345, or /pay list vps"),
        ("vps#12345", "no blank between module and invoice. Type /pay vps 12345."),
        ("VPS12345", "no blank between module and invoice. Type /pay vps 12345."),
        ("status vps 1 2", "One invoice at a time, and no blanks inside its number."),
        ("vps 12,345", '"12,345" may be one number or several. Type a number without commas in it'),
        ("vps 1,234,567", "may be one number or several"),
        ("vps 12,345, mail 7", '"12,345," may be one number or several'),
        ("vps ,101,101", "may be one number or several"),
        ("vps 12\u200b12", "The number 12 is typed 2 times. For that invoice alone, type /pay vps 12."),
        ("vps 12\u202f12\u202f12", "The number 12 is typed 3 times."),
        ("vps 10101 now 5", 'I do not know what "now" means'),
        ("vps 10101 note:", "There is no note behind note:."),
        ("vps due", "Due when?"),
        ("vps due soon", 'Due when? I do not know "soon". Type /pay vps due 7d, or /pay vps overdue.'),
        ("vsp overdue", 'I know no module "vsp". Did you mean /pay vps?'),
        ("vps 1 now", 'I do not know what "now" means after /pay vps 1.'),
        ("list vps 1", 'I do not know what "1" means after /pay list vps.'),
        ("mine vps", 'I do not know what "vps" means after /pay mine. Type /pay mine alone.'),
        ("pending now", 'I do not know what "now" means after /pay pending. Type /pay pending alone.'),
        ("<@U012|bob> 5", "There is a link, a mention or a bracket in it. Type the plain words"),
        ("vps <tel:5|5>", "There is a link, a mention or a bracket in it. Type the plain words"),
        ("&lt;vps&gt; &lt;5&gt;", "There is a link, a mention or a bracket in it."),
        ("status", "The status of what? Type /pay status vps 12345 for an invoice"),
        ("status 0", '"0" begins with a zero, as a payment number never does.'),
        ("resolve", "Which payment is to be resolved? Type /pay resolve 42 paid <note>"),
        ("resolve x paid y", '"x" is not a payment number.'),
        ("resolve 42", "Was payment #42 paid, or not?"),
        ("resolve 42 maybe so", "Was payment #42 paid, or not?"),
        ("resolve 42 paid", "A note is missing: how do you know? Type /pay resolve 42 paid <note>"),
        ("vpsX12345", 'I know no module "vpsX12345".'),
        ("resolve 42 paid", "<note>; the note is kept in the audit trail."),
        ("resolve 42 not paid", "Type /pay resolve 42 not-paid <note>"),
        ("resolve 42 paid \u00a0\u200b", "A note is missing"),
        ("resolve 42 paid " + "x" * (MAX_NOTE + 1), "longer than 500 characters"),
        ("x" * (MAX_TEXT + 1), "longer than 3000 characters, so it was not read."),
        ("x" * 900, '"' + "x" * 39 + '…"'),
        ("x" * 40, '"' + "x" * 40 + '"'),
        ("vps 5>", "There is a link, a mention or a bracket in it."),
        ("vps <5", "There is a link, a mention or a bracket in it."),
        ("approve <5", "There is a link, a mention or a bracket in it."),
        ("approve 5>", "There is a link, a mention or a bracket in it."),
        ("please pay vps 5", 'The word "please" is not needed. Type /pay vps 5.'),
        ("please vps 5 6", 'The word "please" is not needed. Type /pay vps 5 6.'),
        ("vps 1 2x", '"2x" is not an invoice number.'),
        ("vps 1 X5", 'I do not know what "X5" means'),
        ("bac\u212aups 5", "I know no module"),
        ("vps x", '"x" is not an invoice number.'),
        ("5 6", 'I know no module "5".'),
        ("vps-12345", "no blank between module and invoice. Type /pay vps 12345."),
        ("vsp12345", 'I know no module "vsp12345".'),
        ("vps" + "1" * 41, "Type /pay vps " + "1" * 39 + "…."),
        ("vsp now", 'I know no module "vsp". Did you mean /pay vps?'),
        ("fl ips 7", "Did you mean /pay floating_ips 7?"),
        ("hlep 7", "Did you mean /pay help?"),
        ("list hlep", 'I know no module "hlep". The modules are:'),
        ("list server 7", 'I know no module "server". Did you mean /pay list servers?'),
        ("12x", 'I know no module "12x".'),
        ("12345", "or /pay status 12345 for payment #12345."),
        ("\x07\u202evps 5\u202c x", 'I do not know what "x" means'),
    ],
)
def test_what_is_said_about_a_slip(text: str, answer: str) -> None:
    """Each slip is named, and the remedy can be typed as it stands."""
    assert answer in said(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("approve 2", "Approving is a click on its card, not a command. Type /pay status 2 to find the card"),
        ("Approve #2", "Type /pay status 2 to find the card of payment #2, or open my Home tab."),
        ("aprove 2", "Approving is a click on its card"),
        ("approve", "Type /pay pending to find what waits for you, or open my Home tab."),
        ("approve x", "Type /pay pending to find what waits for you, or open my Home tab."),
        ("approve \u0665", "Type /pay pending to find what waits for you, or open my Home tab."),
        ("approve 12345678901", "Type /pay pending to find what waits for you, or open my Home tab."),
        ("history", "Type /pay status vps 12345 to see what became of it."),
        ("settle", "Type /pay resolve 42 paid <note>"),
        ("reject 7 too dear", "Denying is a click on its card, not a command. Type /pay status 7"),
        ("cancel 2", "Withdrawing a request is a click on its card, not a command. Type /pay status 2"),
        ("withdraw", "Type /pay mine to find your own requests"),
        (
            "all",
            "Say which of all: what is overdue, or due by when. Type /pay all overdue",
        ),
        ("overdue", "Type /pay all overdue"),
        ("vps", "Which invoice of vps? Type /pay vps 12345, or /pay list vps"),
        (
            "vps all",
            "Type /pay vps overdue, /pay vps due 7d or /pay vps 12345 12346; /pay list vps",
        ),
        ("list all", "/pay list shows them all"),
        ("unpaid", "Type /pay list, or /pay list vps for one module."),
        ("approvals", "Type /pay pending to see what waits for approval"),
        ("history 2", "Type /pay status 2 to see what became of it."),
        ("retry 2", "Nothing is sent again by a command. Type /pay status 2 to see how it stands"),
        ("settle 4", "Type /pay resolve 4 paid <note> or not-paid <note>, where the answer was lost."),
        ("mail list", "/pay list mail shows them."),
        ("limits", "Type /pay help to see what you may pay, and up to how much."),
        ("--help", "or /pay help for the others."),
        ("?", "or /pay help for the others."),
        ("pay vps 12345", 'The word "pay" is not needed. Type /pay vps 12345.'),
        ("please pay vps 12345", 'The word "please" is not needed. Type /pay vps 12345.'),
        ("invoice 12345", "Which module does invoice 12345 belong to?"),
        ("pay all", "Type /pay all overdue"),
    ],
)
def test_what_people_expect_to_work_is_answered_with_what_does(text: str, answer: str) -> None:
    """In two short lines, and never with an unknown module."""
    assert answer in said(text)
    assert "I know no module" not in said(text)
    command = parse(text, DOCUMENTED_MODULES)
    assert isinstance(command, Misunderstood)
    assert max(len(command.problem), len(command.remedy)) < 200


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
        ("vps 10101 note: on due date", Request((InvoiceRef("vps", 10101),), "on due date")),
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
