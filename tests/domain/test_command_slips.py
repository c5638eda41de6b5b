"""What is no command is answered with the remedy: slips, and words that people expect to work."""

from __future__ import annotations

import pytest

from bot.domain.command import (
    MAX_NOTE,
    MAX_TEXT,
    parse,
)
from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.typed_words import Misunderstood
from tests.domain.saying import said


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
        (
            "note: why vps 10101",
            "The note comes last, behind what is to be paid. Type /pay vps 12345 note: <why>.",
        ),
        ("vps 10101 note : why", "A note begins with note:, the colon right behind the word. Type it last"),
        ("vps 10101 Note why", "A note begins with note:, the colon right behind the word."),
        ("vps 10101 note: on due date", "The note ends with a day, so it is not clear"),
        (
            "vps 10101 10102 note: July, on 2026-12-05",
            "Write the day before note:, as in /pay vps 12345 on due date",
        ),
        ("vps overdue note: pay on due-date,", "or put a full stop behind it."),
        (
            "on 2026-12-05 vps 10101",
            "The day comes last, behind what is to be paid. Write it as in on 2026-12-05",
        ),
        ("server 10901 10902", 'I know no module "server". Did you mean /pay servers 10901 10902?'),
        ("server 10901, vps 5", 'I know no module "server". Did you mean /pay servers 10901 vps 5?'),
        ("web hosting 10901 and 5", 'I know no module "web hosting". Did you mean /pay webhosting?'),
        ("status server 5 6", 'I know no module "server". Did you mean /pay status servers?'),
        ("status 42 vps 12345", "Did you mean /pay status vps 12345?"),
        ("vps 10101 when due", "Say which invoices by their numbers, or by when they are due, and not both."),
        (
            "vps 10101 by due date",
            "Type /pay vps 12345 on due date to have one paid when it is due, or /pay vps due",
        ),
        ("vps 10101 overdue", "and not both."),
        ("vps 10101, mail due 7d", "and not both."),
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
        ("report 2026-13", '"2026-13" is no month. Type /pay report 2026-11, or /pay report for this month.'),
        ("report 2026-11 2026-12", '"2026-11 2026-12" is no month.'),
        ("vps 1 on", "Paid on which day? Write it as in on 2026-12-05, or on due date"),
        ("vps 1 on Friday", 'Paid on which day? I do not know "Friday".'),
        ("vps overdueX", '"overdueX" is not an invoice number.'),
        ("resolve 42 vps", "Which invoice of vps? Type /pay resolve 42 vps 12345 paid <note>."),
        ("resolve 42 vps x paid seen it", '"x" is not an invoice number.'),
        ("pay", 'I know no module "pay".'),
        ("resolve 42 maybe so", "Was payment #42 paid, or not?"),
        (
            "resolve 42 paid not that I can see",
            "Was payment #42 paid, or not? Type /pay resolve 42 paid <note>",
        ),
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
        ("vps 5<6", "There is a link, a mention or a bracket in it."),
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
