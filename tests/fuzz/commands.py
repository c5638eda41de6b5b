"""The text after `/pay`, of any characters: read, or answered; never guessed, and no "no" is read as paid."""

from __future__ import annotations

import re
import typing

from bot.domain import command
from bot.domain.batch import MOST_LINES
from bot.domain.command import Command, Request, RequestDue, Resolve, StatusOfInvoice, parse
from bot.domain.payment import DOCUMENTED_MODULES, InvoiceRef
from bot.domain.typed_words import Misunderstood, normal, read_words

_COMMANDS = typing.get_args(Command)
_KNOWN = (DOCUMENTED_MODULES, (), ("list", "paid", "all", "due", "on", "a_b_c_d"))


def typed(data: bytes) -> None:
    """Parse it with one of several sets of modules, which the first byte names."""
    modules = _KNOWN[data[0] % len(_KNOWN)] if data else ()
    text = data[1:].decode("utf-8", "surrogateescape")
    asked = parse(text, modules)
    assert isinstance(asked, _COMMANDS)
    assert parse(text, modules) == asked
    digits = set(re.findall("[0-9]+", text, re.ASCII))
    match asked:
        case Request():
            assert 1 <= len(asked.refs) <= MOST_LINES
            assert len(set(asked.refs)) == len(asked.refs)
            _assert_typed(asked.refs, modules, text, digits)
            _assert_note(asked.note)
            if asked.pay_on is None:
                # The first may be the name of a module.
                words = read_words(text.partition("note:")[0]).words[1:]
                assert "on" not in map(normal, words)
        case RequestDue():
            assert asked.modules is None or set(asked.modules) <= set(modules)
            assert asked.within is None or str(asked.within) in {
                one.lstrip("0") or "0" for one in digits | {"0"}
            }
            _assert_note(asked.note)
        case StatusOfInvoice():
            _assert_typed((asked.ref,), modules, text, digits)
        case Resolve():
            _assert_note(asked.note)
            assert str(asked.request_id) in digits
            _assert_said(asked, text)
        case Misunderstood():
            assert asked.problem
            assert asked.remedy
            assert len(asked.problem) < 4_000
            assert len((asked.problem + asked.remedy).splitlines()) == 1
        case _:
            pass


def _assert_typed(
    refs: tuple[InvoiceRef, ...], modules: typing.Sequence[str], text: str, digits: set[str]
) -> None:
    """Each number stands there in these digits, and each module, in whatever way its words are parted."""
    squeezed = re.sub(r"[^a-z0-9]", "", text.lower())
    for ref in refs:
        assert ref.module in modules
        assert str(ref.number) in digits
        assert ref.module.replace("_", "") in squeezed


def _assert_note(note: str | None) -> None:
    if note is not None:
        assert 0 < len(note) <= command.MAX_NOTE
        assert "\n" not in note
        note.encode()


def _assert_said(asked: Resolve, text: str) -> None:
    """What comes before the note ends with what it says became of it."""
    words = [normal(word) for word in read_words(text).words]
    modules = sum(1 for _ in asked.ref.module.split("_")) if asked.ref else 0
    said = [(words[2 + many :]) for many in {0, modules + 1 if asked.ref else 0, 2 if asked.ref else 0}]
    begins = [" ".join(rest[:2]) for rest in said]
    paid = [one.startswith("paid") for one in begins]
    not_paid = [one.startswith("not_paid") or one == "not paid" for one in begins]
    assert any(paid) if asked.paid else any(not_paid)


def _seed(text: str, modules: int = 0) -> bytes:
    return bytes([modules]) + text.encode("utf-8", "surrogateescape")


WORDS = [
    *("vps", "mail", "floating ips", "overdue", "due", "7d", "today", "all", "on", "2026-12-05", "due date"),
    *(
        "note:",
        "status",
        "resolve",
        "42",
        "#42",
        "paid",
        "not-paid",
        "not",
        "list",
        "report",
        "pause",
        "help",
    ),
    *(",", "\u00a0", "\u200b", "&amp;", "&lt;", "\u0663", "\uff11", "10101"),
]
"""What is typed."""

SEEDS = [
    *(_seed(usage.removeprefix("/pay").strip()) for usage, _ in command.HELP),
    *(
        _seed(text)
        for text in (
            "vps 10101 10102, mail 10301 note: for the new office",
            "floating ips 12",
            "floating-ips #12 on due date",
            "vps 10101 on 2026-12-05 note: why",
            "vps mail due 7 days",
            "all due today on 2026-12-05",
            "vps, mail overdue",
            "resolve 42 vps 12 not paid seen in MyAdmin",
            "resolve #42 not-paid no row",
            "resolve 42 paid paid by hand",
            "resolve 42 floating ips 12 paid yes",
            "report 2026-11",
            "please pay invoice 10101",
            "vps 10,101",
            "vps 12\u200b34",
            "&lt;vps&gt; &amp; 12",
            "vps12",
            "12345 vps",
            "on on 2026-02-30",
            "status #42",
            "pause \u202e why",
        )
    ),
    _seed("list list", 2),
    _seed("on 1", 2),
    _seed("paid 12 on due", 2),
    _seed("resolve 1 paid 2 paid x", 2),
    _seed("a b c d 12", 2),
]
