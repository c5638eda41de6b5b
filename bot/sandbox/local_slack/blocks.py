"""Block Kit: every limit that Slack enforces on messages and views, and how it stores blocks.

Messages are refused with invalid_blocks, views with invalid_arguments; both say what is wrong where.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from bot.sandbox.local_slack.checks import (
    Check,
    Problems,
    any_text,
    array,
    boolean,
    by_type,
    integer,
    one_of,
    plain_text,
    record,
    string,
)
from bot.sandbox.local_slack.elements import FILLED_IN, IMAGE, IN_ACTIONS, INTERACTIVE, WRITING
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.messages import Json, interactive_elements, visible_texts

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
VIEW_BYTES = 250_000
TEXT_OF_ALL_BLOCKS = 12_000
"""Undocumented; above it chat.postMessage answers msg_blocks_too_long (slackapi/bolt-js#2509)."""
TABLE_ROWS, TABLE_COLUMNS, TABLE_TEXT = 100, 20, 10_000
"""The heading is a row like the others; the characters are those of all cells."""

_WITH_ACTION = INTERACTIVE.keys() | WRITING.keys()

_kind = string(50)
_block_id: dict[str, Check] = {"block_id": string(255)}

# rich_text: styles are data there, and nothing has to be escaped.
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
_rich_section = record({"type": _kind, "elements": _inline})

_rich_list = record(
    {
        "type": _kind,
        "style": one_of("bullet", "ordered"),
        "elements": array(by_type({"rich_text_section": _rich_section}), 1000),
    },
    _border | {"indent": integer(0, 8), "offset": integer(0, 10_000)},
)

_RICH_TEXT = array(
    by_type(
        {
            "rich_text_section": _rich_section,
            "rich_text_preformatted": record({"type": _kind, "elements": _inline}, _border),
            "rich_text_quote": record({"type": _kind, "elements": _inline}, _border),
            "rich_text_list": _rich_list,
        }
    ),
    1000,
)

_rich_text = record({"type": _kind, "elements": _RICH_TEXT}, _block_id)
_cell = by_type(
    {
        "raw_text": record({"type": _kind, "text": string(3000, 1)}),
        "rich_text": _rich_text,
    }
)
_column = record({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean})

_section_fields = record(
    {"type": _kind},
    _block_id
    | {
        "text": any_text(3000),
        "fields": array(any_text(2000), 10),
        "accessory": by_type(INTERACTIVE | {"image": IMAGE}),
        "expand": boolean,
    },
)


def _section(value: Any, pointer: str, problems: Problems) -> None:
    _section_fields(value, pointer, problems)
    if "text" not in value and "fields" not in value:
        problems.report(f"{pointer}/type", "must define either `text` or `fields`")


_BLOCKS: dict[str, Check] = {
    "section": _section,
    "header": record({"type": _kind, "text": plain_text(150)}, _block_id),
    "rich_text": _rich_text,
    "divider": record({"type": _kind}, _block_id),
    "image": record(
        {"type": _kind, "image_url": string(3000, 1), "alt_text": string(2000)},
        _block_id | {"title": plain_text(2000)},
    ),
    "context": record(
        {
            "type": _kind,
            "elements": array(
                by_type({"image": IMAGE, "mrkdwn": any_text(3000), "plain_text": any_text(3000)}), 10
            ),
        },
        _block_id,
    ),
    "actions": record({"type": _kind, "elements": array(by_type(IN_ACTIONS), 25)}, _block_id),
    "input": record(
        {"type": _kind, "label": plain_text(2000), "element": by_type(FILLED_IN)},
        _block_id | {"hint": plain_text(2000), "optional": boolean, "dispatch_action": boolean},
    ),
}

_IN_MESSAGES: dict[str, Check] = _BLOCKS | {
    "table": record(
        {"type": _kind, "rows": array(array(_cell, TABLE_COLUMNS), TABLE_ROWS)},
        _block_id | {"column_settings": array(_column, TABLE_COLUMNS)},
    ),
}

_view_common: dict[str, Check] = {
    "private_metadata": string(3000),
    "callback_id": string(255),
    "external_id": string(255),
}
_view_required: dict[str, Check] = {
    "type": one_of("modal", "home"),
    "blocks": array(by_type(_BLOCKS), VIEW_BLOCKS, least=0),
}
_VIEWS: dict[str, Check] = {
    "modal": record(
        _view_required | {"title": plain_text(24)},
        _view_common
        | {
            "submit": plain_text(24),
            "close": plain_text(24),
            "clear_on_close": boolean,
            "notify_on_close": boolean,
            "submit_disabled": boolean,
        },
    ),
    "home": record(_view_required, _view_common),
}


def checked_blocks(blocks: object) -> list[Json]:
    """The blocks of a message as Slack stores them; raises ApiError where Slack would refuse."""
    if not isinstance(blocks, list):
        raise ApiError("invalid_blocks_format")
    problems = Problems()
    array(by_type(_IN_MESSAGES), MESSAGE_BLOCKS, least=0)(blocks, "/blocks", problems)
    if not problems.found:
        _check_ids(blocks, "/blocks", problems)
        _check_tables(blocks, problems)
    if problems.found:
        raise ApiError.with_messages("invalid_blocks", problems.found)
    if sum(len(text) for text in visible_texts(blocks)) > TEXT_OF_ALL_BLOCKS:
        raise ApiError("msg_blocks_too_long")
    return _as_stored(blocks)


def checked_view(view: object, kind: str) -> Json:
    """A view of type `kind` as Slack stores it; raises ApiError where Slack would refuse."""
    problems = Problems()
    if isinstance(view, dict) and view.get("type") != kind:
        problems.report("/view/type", f"must be one of: {kind}")
    else:
        by_type(_VIEWS)(view, "/view", problems)
    if not problems.found:
        assert isinstance(view, dict)
        _check_ids(view["blocks"], "/view/blocks", problems)
        _check_submit(view, problems)
    if problems.found:
        raise ApiError.with_messages("invalid_arguments", problems.found)
    if len(json.dumps(view)) > VIEW_BYTES:
        raise ApiError("view_too_large")
    assert isinstance(view, dict)
    return view | {"blocks": _as_stored(view["blocks"])}


def _check_ids(blocks: list[Json], pointer: str, problems: Problems) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id") or None
        if block_id in seen:
            problems.report(f"{pointer}/{index}/block_id", f"`block_id` {block_id} already exists")
        if block_id:
            seen.add(block_id)
        actions: set[str] = set()
        for _, element in interactive_elements([{"block_id": None, **block}]):
            action = element["action_id"]
            if action in actions:
                problems.report(f"{pointer}/{index}", f"`action_id` {action} already exists in this block")
            actions.add(action)


def _check_tables(blocks: list[Json], problems: Problems) -> None:
    tables = [block for block in blocks if block["type"] == "table"]
    if len(tables) > 1:
        raise ApiError.with_messages("invalid_attachments", ["only_one_table_allowed"])
    if sum(len(text) for text in visible_texts(tables)) > TABLE_TEXT:
        problems.report("/blocks", f"tables must be less than {TABLE_TEXT + 1} characters")


def _check_submit(view: Json, problems: Problems) -> None:
    for index, block in enumerate(view["blocks"]):
        if block["type"] == "input" and view["type"] == "modal" and "submit" not in view:
            problems.report(
                f"/view/blocks/{index}/input",
                "must define `submit` to use an `input` block in modals",
            )


def _as_stored(blocks: list[Json]) -> list[Json]:
    """Slack makes up the ids that are missing and writes out the defaults of text objects."""
    stored = [_with_defaults(block) for block in blocks]
    for block in stored:
        block["block_id"] = block.get("block_id") or secrets.token_urlsafe(4)
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if element and element["type"] in _WITH_ACTION:
                element["action_id"] = element.get("action_id") or secrets.token_urlsafe(4)
    return stored


def _with_defaults(node: Any) -> Any:
    """A copy of a part of a block."""
    if isinstance(node, list):
        return [_with_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    copied = {name: _with_defaults(value) for name, value in node.items()}
    if copied.get("type") == "plain_text":
        copied.setdefault("emoji", True)
    elif copied.get("type") == "mrkdwn":
        copied.setdefault("verbatim", False)
    return copied
