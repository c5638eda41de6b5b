"""What people type that is no command, and what they do instead: words that they can expect to work.

Nothing here is ever acted on: a slip in a payment's command is answered, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable

from bot.domain.wording import quote

Answer = tuple[str, str]
"""What is wrong, and how to go on: a sentence each."""

_HOME = "or open my Home tab"


def _click(what: str, find: str) -> Callable[[str, str], Answer]:
    """Of what is done with a button. find: where the card stands, if no payment is named."""

    def answer(number: str, _: str) -> Answer:
        card = f"Type /pay status {number} to find the card of payment #{number}" if number else find
        return f"{what} is a click on its card, not a command.", f"{card}, {_HOME}."

    return answer


def _which_of_all(_: str, __: str) -> Answer:
    return (
        "Say which of all: what is overdue, or due by when.",
        "Type /pay all overdue, or /pay all due 7d; /pay list shows the unpaid ones.",
    )


def _in_the_list(_: str, example: str) -> Answer:
    return "The unpaid invoices are in a list.", f"Type /pay list, or /pay list {example} for one module."


def _what_waits(_: str, __: str) -> Answer:
    return "There is another word for that.", f"Type /pay pending to see what waits for approval, {_HOME}."


def _what_is_to_come(_: str, __: str) -> Answer:
    return "There is another word for that.", f"Type /pay scheduled to see what waits for its day, {_HOME}."


def _how_it_stands(number: str, example: str) -> Answer:
    which = f"/pay status {number}" if number else f"/pay status {example} 12345"
    return "There is another word for that.", f"Type {which} to see what became of it."


def _not_again(number: str, example: str) -> Answer:
    which = number or f"{example} 12345"
    return (
        "Nothing is sent again by a command.",
        f"Type /pay status {which} to see how it stands; what was declined may be asked for anew.",
    )


def _settling(number: str, _: str) -> Answer:
    return (
        "There is another word for that.",
        f"Type /pay resolve {number or 42} paid <note> or not-paid <note>, where the answer was lost.",
    )


def _stop(_: str, __: str) -> Answer:
    return (
        "Withdrawing one request is a click on its card; stopping all sending is a command.",
        "Type /pay pause <reason> to stop all sending, and /pay resume to let it go on.",
    )


def _what_you_may(_: str, __: str) -> Answer:
    return (
        "There is another word for that.",
        "Type /pay help to see what you may pay, and up to how much.",
    )


def _what_to_type(_: str, example: str) -> Answer:
    return (
        "I take short commands.",
        f"Type /pay {example} 12345 to ask for an invoice to be paid, or /pay help for the others.",
    )


_APPROVE = _click("Approving", "Type /pay pending to find what waits for you")
_DENY = _click("Denying", "Type /pay pending to find what waits for you")
_WITHDRAW = _click("Withdrawing a request", "Type /pay mine to find your own requests")

_ANSWERS: dict[str, Callable[[str, str], Answer]] = {
    word: answer
    for words, answer in (
        ("approve approved accept confirm yes ok", _APPROVE),
        ("deny denied reject decline no", _DENY),
        ("withdraw cancel undo revoke abort delete remove", _WITHDRAW),
        ("stop halt freeze emergency", _stop),
        ("all everything overdue due several", _which_of_all),
        ("unpaid open invoices bills ls", _in_the_list),
        ("approvals approve_list waiting queue todo requests", _what_waits),
        ("schedule planned upcoming later", _what_is_to_come),
        ("history audit log show info find search check", _how_it_stands),
        ("retry again resend repeat", _not_again),
        ("settle paid unknown lost", _settling),
        ("limit limits rules policy who settings", _what_you_may),
        ("hi hello start menu usage ? _h __help commands", _what_to_type),
    )
    for word in words.split()
}

WORDS = tuple(word for word in _ANSWERS if len(word) > 6)
"""Those of them that a slip in typing can be told from."""

_NEEDLESS = ("pay", "request", "invoice", "invoices", "please")
_EVERY = ("all", "everything", "every", "overdue", "due", "unpaid", "open", "several", "list", "*")


def instead_of(words: list[str], example: str) -> Answer | None:
    """What to do instead of a command that begins with this word; None where it is not known.

    words: in lower case; the first is no module. example: a module.
    """
    if (answer := _ANSWERS.get(words[0])) is None:
        return None
    number = words[1].removeprefix("#") if len(words) > 1 else ""
    return answer(number if number.isascii() and number.isdigit() and len(number) < 11 else "", example)


def without_needless_words(words: list[str]) -> list[str]:
    """The words without those before them that say what /pay says already."""
    while words and words[0] in _NEEDLESS:
        words = words[1:]
    return words


def of_every_invoice(word: str, module: str) -> Answer | None:
    """What to do instead of asking for all invoices of a module; None where the word does not mean that."""
    if word not in _EVERY:
        return None
    return (
        f"Say which invoices of {module}: what is overdue, due by when, or their numbers.",
        f"Type /pay {module} overdue, /pay {module} due 7d or /pay {module} 12345 12346;"
        f" /pay list {module} shows them.",
    )


def listed_anyway(word: str) -> Answer | None:
    """What to do instead of asking for a list of everything; None where the word does not mean that."""
    if word not in _EVERY:
        return None
    return f"/pay list shows them all, {quote(word)} or not.", "Type /pay list alone."
