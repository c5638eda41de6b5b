"""Takes secrets out of a text: the known ones by their value, in whatever way it is written, unknown ones by
their shape.

One home for it, because it has two callers that may not know each other: what the bot logs, and what the
billing API answers, which may be our own request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.entities import codepoint2name

REDACTED = "[redacted]"

SHORTEST = 4
"""A shorter secret would redact half of every text."""

_SHAPES = re.compile(
    r"xox[a-z]-[A-Za-z0-9-]+|xapp-[A-Za-z0-9-]+"
    r"|https://hooks\.slack\.com/\S+|/respond/\S+|wss?://\S+|\bticket=[^\s&\"']+"
)
_SESSION = re.compile(r"\b[0-9a-fA-F]{32}\b")


class Redaction:
    """Takes these secrets out, and whatever has the shape of one.

    sessions_by_shape: also what may be the session of somebody. Not where the bot's own are among the
        secrets: a bank's reference to a payment has the same shape.
    """

    def __init__(self, secrets: Iterable[str], *, sessions_by_shape: bool = True) -> None:
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        # The longest first: one that begins another must not leave the other's end behind.
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(_written, longest_first))) if known else None
        self._shapes = (_SHAPES, _SESSION) if sessions_by_shape else (_SHAPES,)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        text = self._known.sub(REDACTED, text) if self._known else text
        for shape in self._shapes:
            text = shape.sub(REDACTED, text)
        return text


_PLAIN = re.compile(r"[A-Za-z0-9._-]", re.ASCII)
"""What nobody writes in another way."""

_LETTERED = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def _written(secret: str) -> str:
    """A pattern of the secret, each of its characters written in whatever way: servers mix them.

    All that repeats is bounded, so that no text makes it slow.
    """
    return "".join(map(_character, secret))


def _character(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return re.escape(character)
    raw = character.encode("utf-8", "replace")
    marked = _marked(character)
    if character in "'\"/":
        # JSON and PHP put one before it, and a second encoding two more.
        marked = rf"\\{{0,3}}{marked}"
    elif character == "\\":
        marked = rf"(?:\\{{1,4}}|{marked})"
    units = character.encode("utf-16-be", "surrogatepass").hex()
    json = "".join(rf"\\{{1,2}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    forms = [marked, f"(?i:{json})", f"(?i:{''.join(f'%(?:25)?{byte:02x}' for byte in raw)})"]
    if ord(character) < 256:
        forms.append(rf"(?i:\\{{1,2}}x{ord(character):02x})")
    if character in _LETTERED:
        forms.append(rf"\\{{1,2}}{_LETTERED[character]}")
    if character == " ":
        forms.append(r"\+")
    if not character.isascii():
        # UTF-8 that was read as one byte a letter.
        misread = {raw.decode("latin-1"), raw.decode("cp1252", "replace")}
        forms += ["".join(map(_marked, one)) for one in sorted(misread)]
    return f"(?:{'|'.join(forms)})"


def _marked(character: str) -> str:
    """A character as it is, or as HTML and XML refer to it, also if that was escaped once or twice more."""
    code = ord(character)
    name = "apos" if character == "'" else codepoint2name.get(code)
    names = f"|{name};" if name is not None and character != "&" else ""
    referred = f"&(?:amp;){{0,2}}(?:#0{{0,6}}{code};|(?i:#x0{{0,6}}{code:x};){names})"
    return f"(?:{referred}|{'&(?:amp;){0,3}' if character == '&' else re.escape(character)})"
