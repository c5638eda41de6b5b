"""Block Kit: each limit is enforced at its border, and the answer says what is wrong where."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.blocks import checked_blocks, checked_view
from bot.sandbox.local_slack.errors import ApiError

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def section(**fields: Any) -> Json:
    return {"type": "section", **fields}


def button(**fields: Any) -> Json:
    return {"type": "button", "text": plain("Go"), "action_id": "go", **fields}


def actions(*elements: Json) -> Json:
    return {"type": "actions", "elements": list(elements)}


def select(count: int, **fields: Any) -> Json:
    options = [{"text": plain("o"), "value": str(number)} for number in range(count)]
    return {"type": "static_select", "action_id": "pick", "options": options, **fields}


def field(element: Json, **fields: Any) -> Json:
    return {"type": "input", "label": plain("Label"), "element": element, **fields}


def typed(**fields: Any) -> Json:
    return {"type": "plain_text_input", "action_id": "typed", **fields}


def modal(*blocks: Json, **fields: Any) -> Json:
    return {"type": "modal", "title": plain("Title"), "blocks": list(blocks), **fields}


def table(rows: int, columns: int = 1, text: str = "x", **fields: Any) -> Json:
    cell = {"type": "raw_text", "text": text}
    return {"type": "table", "rows": [[cell] * columns] * rows, **fields}


CONFIRM = {
    "title": plain("Sure?"),
    "text": mrkdwn("Really?"),
    "confirm": plain("Yes"),
    "deny": plain("No"),
}

AT_THE_LIMIT: dict[str, list[Json]] = {
    "50 blocks": [{"type": "divider"}] * 50,
    "section of 3000": [section(text=mrkdwn("x" * 3000))],
    "10 fields": [section(fields=[plain("x")] * 10)],
    "field of 2000": [section(fields=[plain("x" * 2000)])],
    "header of 150": [{"type": "header", "text": plain("x" * 150)}],
    "button text of 75": [actions(button(text=plain("x" * 75)))],
    "button value of 2000": [actions(button(value="x" * 2000))],
    "action_id of 255": [actions(button(action_id="x" * 255))],
    "block_id of 255": [section(text=plain("x"), block_id="x" * 255)],
    "25 elements": [actions(*(button(action_id=str(number)) for number in range(25)))],
    "10 context elements": [{"type": "context", "elements": [mrkdwn("x")] * 10}],
    "100 options": [actions(select(100))],
    "confirm": [actions(button(confirm=CONFIRM, style="danger"))],
    "same action_id in two blocks": [actions(button()), actions(button())],
    "label of 2000": [field(typed(), label=plain("x" * 2000))],
    "rich text": [
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}],
        }
    ],
    "table of 100 rows": [table(100, column_settings=[{"align": "right", "is_wrapped": True}])],
    "table of 20 columns": [table(1, 20)],
    "table of 10000": [table(100, text="x" * 100)],
}

OVER_THE_LIMIT: dict[str, tuple[list[Json], str]] = {
    "51 blocks": ([{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
    "section of 3001": (
        [section(text=mrkdwn("x" * 3001))],
        "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
    ),
    "empty section": (
        [section(text=mrkdwn(""))],
        "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
    ),
    "section of nothing": (
        [section()],
        "must define either `text` or `fields` [json-pointer:/blocks/0/type]",
    ),
    "11 fields": (
        [section(fields=[plain("x")] * 11)],
        "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
    ),
    "field of 2001": (
        [section(fields=[plain("x" * 2001)])],
        "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
    ),
    "header of 151": (
        [{"type": "header", "text": plain("x" * 151)}],
        "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
    ),
    "header in mrkdwn": (
        [{"type": "header", "text": mrkdwn("x")}],
        "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
    ),
    "button text of 76": (
        [actions(button(text=plain("x" * 76)))],
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
    ),
    "button in mrkdwn": (
        [actions(button(text=mrkdwn("x")))],
        "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]",
    ),
    "button value of 2001": (
        [actions(button(value="x" * 2001))],
        "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
    ),
    "button value that is a number": (
        [actions(button(value=42))],
        "must provide a string [json-pointer:/blocks/0/elements/0/value]",
    ),
    "button in green": (
        [actions(button(style="green"))],
        "must be one of: primary, danger [json-pointer:/blocks/0/elements/0/style]",
    ),
    "action_id of 256": (
        [actions(button(action_id="x" * 256))],
        "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
    ),
    "block_id of 256": (
        [section(text=plain("x"), block_id="x" * 256)],
        "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
    ),
    "action_id twice in a block": (
        [actions(button(), button())],
        "`action_id` go already exists in this block [json-pointer:/blocks/0]",
    ),
    "block_id twice": (
        [section(text=plain("x"), block_id="b"), section(text=plain("y"), block_id="b")],
        "`block_id` b already exists [json-pointer:/blocks/1/block_id]",
    ),
    "26 elements": (
        [actions(*(button(action_id=str(number)) for number in range(26)))],
        "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "no elements": (
        [actions()],
        "no less than 1 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "11 context elements": (
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
    ),
    "button in a context": (
        [{"type": "context", "elements": [button()]}],
        "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
    ),
    "101 options": (
        [actions(select(101))],
        "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
    ),
    "option text of 76": (
        [actions(select(0, options=[{"text": plain("x" * 76), "value": "v"}]))],
        "must be less than 76 characters [json-pointer:/blocks/0/elements/0/options/0/text/text]",
    ),
    "option value of 151": (
        [actions(select(0, options=[{"text": plain("x"), "value": "v" * 151}]))],
        "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
    ),
    "select without options": (
        [actions({"type": "static_select", "action_id": "a"})],
        "must define either `options` or `option_groups` [json-pointer:/blocks/0/elements/0]",
    ),
    "confirm title of 101": (
        [actions(button(confirm=CONFIRM | {"title": plain("x" * 101)}))],
        "must be less than 101 characters [json-pointer:/blocks/0/elements/0/confirm/title/text]",
    ),
    "confirm text of 301": (
        [actions(button(confirm=CONFIRM | {"text": mrkdwn("x" * 301)}))],
        "must be less than 301 characters [json-pointer:/blocks/0/elements/0/confirm/text/text]",
    ),
    "confirm without deny": (
        [actions(button(confirm={name: CONFIRM[name] for name in ("title", "text", "confirm")}))],
        "missing required field: deny [json-pointer:/blocks/0/elements/0/confirm]",
    ),
    "label of 2001": (
        [field(typed(), label=plain("x" * 2001))],
        "must be less than 2001 characters [json-pointer:/blocks/0/label/text]",
    ),
    "unknown block": (
        [{"type": "carousel"}],
        "unsupported type: carousel [json-pointer:/blocks/0/type]",
    ),
    "unknown field": (
        [{"type": "divider", "text": "x"}],
        "invalid additional property: text [json-pointer:/blocks/0]",
    ),
    "null for an object": (
        [section(text=None)],
        "must provide an object [json-pointer:/blocks/0/text]",
    ),
    "table of 101 rows": ([table(101)], "no more than 100 items allowed [json-pointer:/blocks/0/rows]"),
    "table of 21 columns": (
        [table(1, 21)],
        "no more than 20 items allowed [json-pointer:/blocks/0/rows/0]",
    ),
    "table of 10001": (
        [table(73, text="x" * 137)],
        "tables must be less than 10001 characters [json-pointer:/blocks]",
    ),
    "empty cell": (
        [table(1, text="")],
        "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]",
    ),
    "no type": ([{}], "missing required field: type [json-pointer:/blocks/0]"),
}

VIEWS_OVER_THE_LIMIT: dict[str, tuple[Json, str]] = {
    "101 blocks": (
        modal(*[{"type": "divider"}] * 101),
        "no more than 100 items allowed [json-pointer:/view/blocks]",
    ),
    "title of 25": (
        modal(title=plain("x" * 25)),
        "must be less than 25 characters [json-pointer:/view/title/text]",
    ),
    "submit of 25": (
        modal(submit=plain("x" * 25)),
        "must be less than 25 characters [json-pointer:/view/submit/text]",
    ),
    "close of 25": (
        modal(close=plain("x" * 25)),
        "must be less than 25 characters [json-pointer:/view/close/text]",
    ),
    "private_metadata of 3001": (
        modal(private_metadata="x" * 3001),
        "must be less than 3001 characters [json-pointer:/view/private_metadata]",
    ),
    "callback_id of 256": (
        modal(callback_id="x" * 256),
        "must be less than 256 characters [json-pointer:/view/callback_id]",
    ),
    "input without submit": (
        modal(field(typed())),
        "must define `submit` to use an `input` block in modals [json-pointer:/view/blocks/0/input]",
    ),
    "no title": (
        {"type": "modal", "blocks": []},
        "missing required field: title [json-pointer:/view]",
    ),
    "a table": (modal(table(1)), "unsupported type: table [json-pointer:/view/blocks/0/type]"),
    "a Home tab": (
        {"type": "home", "blocks": []},
        "must be one of: modal [json-pointer:/view/type]",
    ),
    "not an object": ([], "must provide an object [json-pointer:/view]"),  # type: ignore[dict-item]
}


def test_a_message_takes_one_table() -> None:
    """Slack says so of an attachment, which is what it makes of a table."""
    with pytest.raises(ApiError, match="invalid_attachments"):
        checked_blocks([table(1), table(1)])


@pytest.mark.parametrize("blocks", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_what_just_fits_is_taken(blocks: list[Json]) -> None:
    """The limit itself is allowed."""
    assert len(checked_blocks(blocks)) == len(blocks)


@pytest.mark.parametrize(("blocks", "message"), OVER_THE_LIMIT.values(), ids=OVER_THE_LIMIT)
def test_what_does_not_fit_is_refused(blocks: list[Json], message: str) -> None:
    """One more is invalid_blocks, and the message says what is wrong where."""
    with pytest.raises(ApiError) as caught:
        checked_blocks(blocks)
    assert caught.value.code == "invalid_blocks"
    assert message in caught.value.fields["errors"]
    assert f"[ERROR] {message}" in caught.value.fields["response_metadata"]["messages"]


@pytest.mark.parametrize(("view", "message"), VIEWS_OVER_THE_LIMIT.values(), ids=VIEWS_OVER_THE_LIMIT)
def test_a_view_that_does_not_fit_is_refused(view: Json, message: str) -> None:
    """Views are refused with invalid_arguments."""
    with pytest.raises(ApiError) as caught:
        checked_view(view, "modal")
    assert caught.value.code == "invalid_arguments"
    assert message in caught.value.fields["errors"]


def test_a_view_holds_100_blocks_and_a_title_of_24() -> None:
    """The limits of views themselves are allowed."""
    view = modal(*[{"type": "divider"}] * 100, title=plain("x" * 24), submit=plain("x" * 24))
    assert len(checked_view(view, "modal")["blocks"]) == 100


def test_a_view_takes_so_many_bytes() -> None:
    """Every block may fit and the view still be too large."""
    with pytest.raises(ApiError, match="view_too_large"):
        checked_view(modal(*[section(text=mrkdwn("\N{PILE OF POO}" * 3000))] * 7), "modal")


def test_blocks_that_are_too_long_together_are_refused() -> None:
    """Every block may fit and the message still be too long."""
    with pytest.raises(ApiError, match="msg_blocks_too_long"):
        checked_blocks([section(text=mrkdwn("x" * 3000))] * 5)


def test_slack_makes_up_ids_and_writes_out_defaults() -> None:
    """Stored blocks have ids and the defaults of text objects; the caller's own are untouched."""
    given = [section(text=mrkdwn("x")), actions({"type": "button", "text": plain("Go")})]
    first, second = checked_blocks(given)
    assert first["block_id"] != second["block_id"]
    assert first["text"]["verbatim"] is False
    assert second["elements"][0]["action_id"]
    assert second["elements"][0]["text"]["emoji"] is True
    assert "block_id" not in given[0]


async def test_a_client_gets_the_messages() -> None:
    """Over the wire the refusal has errors and response_metadata, and nothing is posted."""
    async with LocalSlack() as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        with pytest.raises(SlackApiError) as caught:
            await web.chat_postMessage(channel=ids.PAYMENTS, text="x", blocks=[section()])
        assert caught.value.response["error"] == "invalid_blocks"
        assert "[json-pointer:/blocks/0/type]" in str(caught.value.response["response_metadata"]["messages"])
        with pytest.raises(SlackApiError, match="invalid_blocks_format"):
            await web.api_call("chat.postMessage", data={"channel": ids.PAYMENTS, "blocks": "[{"})
        assert slack.messages("#payments") == []
