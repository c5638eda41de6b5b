"""The rich_text block: text with styles as data, in which nothing has to be escaped."""

from __future__ import annotations

from bot.sandbox.local_slack.checks import (
    Check,
    array,
    boolean,
    by_type,
    integer,
    one_of,
    record,
    string,
)

_kind = string(50)
_style = record({}, dict.fromkeys(("bold", "italic", "strike", "code", "underline"), boolean))
_styled: dict[str, Check] = {"style": _style}

_INLINE: dict[str, Check] = {
    "text": record({"type": _kind, "text": string(3000, 1)}, _styled),
    "link": record(
        {"type": _kind, "url": string(3000, 1)},
        _styled | {"text": string(3000), "unsafe": boolean},
    ),
    "user": record({"type": _kind, "user_id": string(50, 1)}, _styled),
    "usergroup": record({"type": _kind, "usergroup_id": string(50, 1)}, _styled),
    "channel": record({"type": _kind, "channel_id": string(50, 1)}, _styled),
    "emoji": record({"type": _kind, "name": string(100, 1)}, {"unicode": string(100)}),
    "broadcast": record({"type": _kind, "range": one_of("here", "channel", "everyone")}, _styled),
}
_border: dict[str, Check] = {"border": integer(0, 1)}
_inline = array(by_type(_INLINE), 1000, least=0)
_section = record({"type": _kind, "elements": _inline})

_list = record(
    {
        "type": _kind,
        "style": one_of("bullet", "ordered"),
        "elements": array(by_type({"rich_text_section": _section}), 1000),
    },
    _border | {"indent": integer(0, 8), "offset": integer(0, 10_000)},
)

RICH_TEXT = array(
    by_type(
        {
            "rich_text_section": _section,
            "rich_text_preformatted": record({"type": _kind, "elements": _inline}, _border),
            "rich_text_quote": record({"type": _kind, "elements": _inline}, _border),
            "rich_text_list": _list,
        }
    ),
    1000,
)
