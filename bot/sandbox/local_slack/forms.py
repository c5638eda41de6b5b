"""What people enter: state.values as the client fills it in, and what it refuses to submit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Json, interactive_elements

Values = dict[str, dict[str, Json]]
"""state.values: block_id -> action_id -> what is entered there."""

REQUIRED = "Please complete this required field."


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a kind of element keeps its value, in state.values and in its definition."""

    name: str
    initial: str
    empty: object = None


_FIELDS = {
    "plain_text_input": _Field("value", "initial_value"),
    "number_input": _Field("value", "initial_value"),
    "email_text_input": _Field("value", "initial_value"),
    "url_text_input": _Field("value", "initial_value"),
    "static_select": _Field("selected_option", "initial_option"),
    "radio_buttons": _Field("selected_option", "initial_option"),
    "multi_static_select": _Field("selected_options", "initial_options", []),
    "multi_external_select": _Field("selected_options", "initial_options", []),
    "checkboxes": _Field("selected_options", "initial_options", []),
    "users_select": _Field("selected_user", "initial_user"),
    "multi_users_select": _Field("selected_users", "initial_users", []),
    "conversations_select": _Field("selected_conversation", "initial_conversation"),
    "multi_conversations_select": _Field("selected_conversations", "initial_conversations", []),
    "channels_select": _Field("selected_channel", "initial_channel"),
    "multi_channels_select": _Field("selected_channels", "initial_channels", []),
    "datepicker": _Field("selected_date", "initial_date"),
    "timepicker": _Field("selected_time", "initial_time"),
    "datetimepicker": _Field("selected_date_time", "initial_date_time"),
}


def complete_values(blocks: list[Json], entered: Values) -> Values:
    """state.values of every element that holds one: what was entered, else its initial value."""
    values: Values = {}
    for block_id, element in interactive_elements(blocks):
        field = _FIELDS.get(element["type"])
        if field is None:
            continue
        value = entered.get(block_id, {}).get(element["action_id"], {})
        held = value.get(field.name, element.get(field.initial, field.empty))
        state = {"type": element["type"], field.name: held or field.empty}
        values.setdefault(block_id, {})[element["action_id"]] = state
    return values


def kept_values(before: list[Json], entered: Values, after: list[Json]) -> Values:
    """What a view holds when the app has replaced its blocks: all of every element that stays.

    An element stays whose block and action id do; then a new initial value counts for nothing, whether
    something was entered there or not (slackapi/bolt-python#572, #1064).
    """
    stays = {(block_id, element["action_id"]) for block_id, element in interactive_elements(after)}
    held = complete_values(before, entered)
    kept = {
        block_id: {action: state for action, state in states.items() if (block_id, action) in stays}
        for block_id, states in held.items()
    }
    return {block_id: states for block_id, states in kept.items() if states}


def with_action(values: Values, action: Json) -> Values:
    """`values` with what was just chosen in a menu or picker."""
    if action["type"] not in _FIELDS:
        return values
    block_id, action_id = action["block_id"], action["action_id"]
    return values | {block_id: values.get(block_id, {}) | {action_id: action}}


def refused_by_client(blocks: list[Json], values: Values) -> dict[str, str]:
    """block_id -> why the client does not even submit: missing or malformed input."""
    refused: dict[str, str] = {}
    for block in blocks:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = values[block["block_id"]][element["action_id"]]
        held = state[_FIELDS[element["type"]].name]
        problem = _problem(element, held, bool(block.get("optional")))
        if problem:
            refused[block["block_id"]] = problem
    return refused


def pressed(element: Json, value: Any) -> Json:
    """The fields of an action: the element's own, and `value` in the way of its type.

    value: of a menu, the value of the option or the id chosen, several in a list; of a menu whose options
    the app suggests, the options themselves; of a date picker, the date; of a text input, the text. A button
    sends its own value.
    """
    kind = element["type"]
    action: Json = {"type": kind, "action_id": element["action_id"]}
    if kind == "button":
        return action | {name: element[name] for name in ("text", "value", "style") if name in element}
    if kind == "overflow":
        return action | {"selected_option": _option(element, value)}
    field = _FIELDS[kind]
    if field.name == "selected_option":
        value = _option(element, value)
    elif field.name == "selected_options" and kind != "multi_external_select":
        value = [_option(element, each) for each in value]
    if field.empty == [] and len(value) > element.get("max_selected_items", len(value)):
        raise NotThere(f"{element['action_id']} takes no more than {element['max_selected_items']}")
    return action | {field.name: value}


def _option(element: Json, value: str) -> Json:
    groups = [element.get("options", [])]
    groups += [group["options"] for group in element.get("option_groups", [])]
    for option in (option for group in groups for option in group):
        if option["value"] == value:
            chosen: Json = option
            return chosen
    raise NotThere(f"{element['action_id']} has no option {value!r}")


def _problem(element: Json, held: Any, optional: bool) -> str | None:
    if not held:
        return None if optional else REQUIRED
    if element["type"] == "plain_text_input":
        if len(held) < element.get("min_length", 0):
            return f"Please enter at least {element['min_length']} characters."
        if len(held) > element.get("max_length", 3000):
            return f"Please enter at most {element.get('max_length', 3000)} characters."
    if element["type"] == "number_input" and not _is_number(held, element):
        return "Please enter a number."
    return None


def _is_number(held: str, element: Json) -> bool:
    try:
        number = float(held)
    except ValueError:
        return False
    return bool(element.get("is_decimal_allowed")) or number == int(number)
