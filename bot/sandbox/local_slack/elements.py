"""Block Kit's elements: what they may hold, and how much of it. Source: docs.slack.dev.

Missing on purpose, and refused as unsupported: external_select, files, and workflow buttons.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox.local_slack.checks import (
    Check,
    Problems,
    any_text,
    array,
    boolean,
    integer,
    one_of,
    plain_text,
    record,
    string,
)

_kind = string(255)
_action_id = string(255)
_confirm = record(
    {
        "title": plain_text(100),
        "text": any_text(300),
        "confirm": plain_text(30),
        "deny": plain_text(30),
    },
    {"style": one_of("primary", "danger")},
)
_option_fields: dict[str, Check] = {"value": string(150)}
_plain_option = record(
    _option_fields | {"text": plain_text(75)}, {"description": plain_text(75), "url": string(3000)}
)
_rich_option = record(_option_fields | {"text": any_text(75)}, {"description": any_text(75)})
_option_group = record({"label": plain_text(75), "options": array(_plain_option, 100)})
_common: dict[str, Check] = {
    "action_id": _action_id,
    "confirm": _confirm,
    "focus_on_load": boolean,
}
_placeholder: dict[str, Check] = {"placeholder": plain_text(150)}
_several: dict[str, Check] = {"max_selected_items": integer(1, 2**31)}
_preselected: dict[str, Check] = {"initial_options": array(_plain_option, 100)}


def _static(more: dict[str, Check]) -> Check:
    fields = record(
        {"type": _kind},
        _common
        | _placeholder
        | more
        | {"options": array(_plain_option, 100), "option_groups": array(_option_group, 100)},
    )

    def check(value: Any, pointer: str, problems: Problems) -> None:
        fields(value, pointer, problems)
        if ("options" in value) == ("option_groups" in value):
            problems.report(pointer, "must define either `options` or `option_groups`")
        elif not problems.found:
            _check_preselected(value, pointer, problems)

    return check


def _check_preselected(element: dict[str, Any], pointer: str, problems: Problems) -> None:
    """What is chosen from the beginning must be one of the options, word for word (maxchehab/phelia#23)."""
    options = [*element.get("options", ())]
    options += [option for group in element.get("option_groups", ()) for option in group["options"]]
    single = [element["initial_option"]] if "initial_option" in element else []
    for index, chosen in enumerate(element.get("initial_options", single)):
        if chosen not in options:
            problems.report(f"{pointer}/initial_options", f"{index} must be one of the provided options")


def _picker(more: dict[str, Check]) -> Check:
    return record({"type": _kind}, _common | _placeholder | more)


def _writing(more: dict[str, Check]) -> Check:
    fields: dict[str, Check] = {
        "action_id": _action_id,
        "focus_on_load": boolean,
        "initial_value": string(3000),
        "dispatch_action_config": record({"trigger_actions_on": array(string(50), 2)}),
    }
    return record({"type": _kind}, fields | _placeholder | more)


_conversations: dict[str, Check] = {
    "default_to_current_conversation": boolean,
    "filter": record(
        {},
        {
            "include": array(one_of("im", "mpim", "private", "public"), 4),
            "exclude_external_shared_channels": boolean,
            "exclude_bot_users": boolean,
        },
    ),
}
_lengths: dict[str, Check] = {"min_length": integer(0, 3000), "max_length": integer(1, 3000)}
_id = string(50)
_ids = array(_id, 100, least=0)

IMAGE = record({"type": _kind, "image_url": string(3000, 1), "alt_text": string(2000)})

BUTTON = record(
    {"type": _kind, "text": plain_text(75)},
    {
        "action_id": _action_id,
        "url": string(3000),
        "value": string(2000),
        "style": one_of("primary", "danger"),
        "confirm": _confirm,
        "accessibility_label": string(75),
    },
)

SELECTS: dict[str, Check] = {
    "static_select": _static({"initial_option": _plain_option}),
    "multi_static_select": _static(_several | _preselected),
    "multi_external_select": _picker(_several | _preselected | {"min_query_length": integer(0, 2**31)}),
    "users_select": _picker({"initial_user": _id}),
    "multi_users_select": _picker(_several | {"initial_users": _ids}),
    "conversations_select": _picker(
        _conversations | {"initial_conversation": _id, "response_url_enabled": boolean}
    ),
    "multi_conversations_select": _picker(_conversations | _several | {"initial_conversations": _ids}),
    "channels_select": _picker({"initial_channel": _id, "response_url_enabled": boolean}),
    "multi_channels_select": _picker(_several | {"initial_channels": _ids}),
}

PICKERS: dict[str, Check] = {
    "datepicker": _picker({"initial_date": string(10)}),
    "timepicker": _picker({"initial_time": string(5), "timezone": string(100)}),
    "datetimepicker": record({"type": _kind}, _common | {"initial_date_time": integer(0, 9_999_999_999)}),
}

CHOICES: dict[str, Check] = {
    "radio_buttons": record(
        {"type": _kind, "options": array(_rich_option, 10)},
        _common | {"initial_option": _rich_option},
    ),
    "checkboxes": record(
        {"type": _kind, "options": array(_rich_option, 10)},
        _common | {"initial_options": array(_rich_option, 10)},
    ),
}

WRITING: dict[str, Check] = {
    "plain_text_input": _writing(_lengths | {"multiline": boolean}),
    "email_text_input": _writing({}),
    "url_text_input": _writing({}),
    "number_input": _writing(
        {"is_decimal_allowed": boolean, "min_value": string(100), "max_value": string(100)}
    ),
}

PRESSED: dict[str, Check] = {
    "button": BUTTON,
    "overflow": record(
        {"type": _kind, "options": array(_plain_option, 5)},
        {"action_id": _action_id, "confirm": _confirm},
    ),
}

SUGGESTIONS = record(
    {}, {"options": array(_plain_option, 100, least=0), "option_groups": array(_option_group, 100, least=0)}
)
"""What the app answers to block_suggestion."""

INTERACTIVE = PRESSED | SELECTS | PICKERS | CHOICES
IN_ACTIONS = {name: check for name, check in INTERACTIVE.items() if not name.startswith("multi_")}
"""What an actions block takes: a menu of several choices needs a section or an input."""

FILLED_IN = SELECTS | PICKERS | CHOICES | WRITING
