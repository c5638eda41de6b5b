"""Where things stand in a policy file: tomllib tells no line numbers for values, so the text is scanned.

Good for pointing a person to the line: a file that writes its rules in an unusual way (inline tables,
headers inside a text of several lines) may be pointed to a line near by.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"""\s*\[\[\s*["']?rule["']?\s*\]\]""")


class Lines:
    """The lines of one text, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines = text.removeprefix("\ufeff").split("\n")
        self._headers = [number for number, line in enumerate(self._lines, 1) if _HEADER.match(line)]

    def of_syntax_error(self, message: str) -> tuple[int, str]:
        """Split tomllib's message into its line and the rest; without one, it is the last line."""
        found = re.fullmatch(r"(.*) \(at line (\d+), column \d+\)", message, re.DOTALL)
        if found:
            return int(found[2]), found[1]
        return len(self._lines), message.removesuffix(" (at end of document)")

    def of_top_level(self, key: str) -> int:
        """The line of a key or table outside of the rules."""
        return self._find(key, 1, len(self._lines)) or 1

    def of_key(self, index: int, key: str, value: str | None = None) -> int:
        """The line of the index-th rule's key, or of one text in its list; failing that, of the rule."""
        if index >= len(self._headers):
            return self.of_top_level("rule")
        first = self._headers[index]
        last = self._headers[index + 1] - 1 if index + 1 < len(self._headers) else len(self._lines)
        line = self._find(key, first, last)
        if line is None:
            return first
        if value is None:
            return line
        texts = (f'"{value}"', f"'{value}'")
        for number in range(line, last + 1):
            if any(text in self._lines[number - 1] for text in texts):
                return number
        return line

    def _find(self, key: str, first: int, last: int) -> int | None:
        name = rf"""["']?{re.escape(key)}["']?"""
        written = re.compile(
            rf"""\s*(?:{name}\s*[=.]|\[{{1,2}}\s*(?:["']?rule["']?\s*\.\s*)?{name}\s*[\].])"""
        )
        for number in range(first, last + 1):
            if written.match(self._lines[number - 1]):
                return number
        return None
