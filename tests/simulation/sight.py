"""What somebody sees of a price: who approves has seen what the card, or the tab, shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bot.domain.payment import State
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack.text import STATES
from tests.simulation.outside import ALL_OF

Seen = tuple[str, int, str]
"""An invoice, and its price in words; of ALL_OF, a request's number, where not all of it is shown."""

_ONE = re.compile(r"· ([a-z_]+) invoice ([0-9]+), (.*?), by ")
_ONE_IN_A_VIEW = re.compile(r"· ([a-z_]+) invoice ([0-9]+)>? · \*?(.*?)\*")
_LINE = re.compile(r"(?m)^(.*)`([a-z_]+) ([0-9]+)` · \*(.*?)\*")
_NUMBER = re.compile(r"#([0-9]+) · [0-9]+ payments")
_MORE = re.compile(r"… and [0-9,]+ more; ")
_ASKED_ABOUT = [
    STATES[state][1].partition(";")[0]
    for state in (State.PENDING_APPROVAL, State.APPROVED, State.SENDING, State.NOT_SENT)
]
"""How a line says of one of several that it may be sent once it is approved."""


def of_card(card: Message) -> Iterator[Seen]:
    """All that is not over."""
    if one := _ONE.search(card.text):
        yield one[1], int(one[2]), one[3]
    said = card.texts()
    yield from _lines(said)
    if several := _NUMBER.search(card.text):
        yield from _left_out(int(several[1]), said)


def of_view(view: View) -> Iterator[Seen]:
    """All that the Home tab shows, or a question that it asks."""
    said = view.texts()
    for text in said:
        for module, number, price in _ONE_IN_A_VIEW.findall(text):
            yield module, int(number), price
        for several in _NUMBER.findall(text):
            yield from _left_out(int(several), said)
    yield from _lines(said)


def _lines(said: Sequence[str]) -> Iterator[Seen]:
    for text in said:
        for before, module, number, price in _LINE.findall(text):
            if not before or any(words in before for words in _ASKED_ABOUT):
                yield module, int(number), price


def _left_out(request: int, said: Sequence[str]) -> Iterator[Seen]:
    if any(_MORE.search(text) for text in said):
        yield ALL_OF, request, ""
