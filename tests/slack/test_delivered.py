"""What Slack does not write, or this bot did not, is acted on by nobody; a sentence says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot import app
from bot.domain.payment import State
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.messages import Message
from bot.slack import replies
from bot.slack.card import APPROVE, DENY
from bot.slack.decisions import Clicked
from bot.slack.delivered import NotUnderstood, odd_in, understanding
from bot.slack.inbound import entered_in
from bot.slack.pay_form_button import Several
from bot.slack.pay_form_entered import Entered
from bot.slack.pay_form_view import Memory, Pick
from bot.slack.preview import CONFIRM
from bot.slack.workflow_step import _who
from tests.fixture_types import StartBot
from tests.slack.acting import at_rest, card, request, state_of, text, told

MEMORY = [[None, None, None], 0, {}, None, []]


def without(body: Any, *place: str | int) -> Any:
    """The same without what stands there."""
    whole = json.loads(json.dumps(body))
    at = whole
    for name in place[:-1]:
        at = at[name]
    del at[place[-1]]
    return whole


COMMAND = {
    "command": "/pay",
    "user_id": "U0ALICE001",
    "team_id": "T0ACME0001",
    "channel_id": "C0PAYMENTS",
    "trigger_id": "1.2.abc",
    "response_url": "https://hooks.slack.com/commands/1",
}
CLICK = {
    "type": "block_actions",
    "user": {"id": "U0ALICE001", "team_id": "T0ACME0001"},
    "trigger_id": "1.2.abc",
    "actions": [{"action_id": "x"}],
    "view": {"id": "V1", "hash": "1.a", "type": "home"},
}
SUBMITTED = {
    "type": "view_submission",
    "user": {"id": "U0ALICE001"},
    "view": {"id": "V1", "hash": "1.a", "type": "modal", "callback_id": "pay_form"},
}
OPENED = {"type": "event_callback", "event": {"type": "app_home_opened", "user": "U0ALICE001"}}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        *((COMMAND, (name,)) for name in COMMAND if name != "command"),
        *((CLICK, place) for place in (("user", "id"), ("trigger_id",), ("actions",))),
        *((CLICK, ("view", name)) for name in ("id", "hash", "type")),
        (CLICK, ("actions", 0, "action_id")),
        *((SUBMITTED, place) for place in (("user", "id"), ("view", "hash"), ("view", "callback_id"))),
        (OPENED, ("event", "user")),
    ],
)
def test_what_slack_always_writes_is_there(body: Any, place: tuple[str | int, ...]) -> None:
    """Whoever reads it need not ask; a payload without it is nothing to act on."""
    assert odd_in(body) == []
    assert odd_in(without(body, *place)) == [".".join(one for one in place if isinstance(one, str))] or (
        odd_in(without(body, *place)) == ["actions.action_id"]
    )


@pytest.mark.parametrize("given", [None, 7, 10**30, "", [], {}, True, "\ud800", "\x00", "ü", "U" * 33])
def test_who_acts_is_an_identifier(given: object) -> None:
    """Nothing else gets as far as the ledger, in which it might stand for somebody."""
    assert odd_in(COMMAND | {"user_id": given}) == ["user_id"]
    assert odd_in(CLICK | {"user": {"id": given}}) == ["user.id"]
    # Without a team, nobody is of the bot's.
    of_another = odd_in(CLICK | {"user": {"id": "U0ALICE001", "team_id": given}})
    assert of_another == ([] if given is None else ["user.team_id"])


@pytest.mark.parametrize("actions", [None, [], "x", {"action_id": "x"}, [{"action_id": "x"}, 7]])
def test_a_click_is_of_something(actions: object) -> None:
    """And of nothing else."""
    assert odd_in(CLICK | {"actions": actions}) == ["actions.action_id"]


@pytest.mark.parametrize(
    ("name", "longest"),
    [("user_id", 32), ("trigger_id", 150), ("response_url", 2000), ("command", 255)],
)
def test_the_longest_that_the_ledger_has_room_for_is_taken(name: str, longest: int) -> None:
    """A character more is nothing that Slack writes."""
    assert odd_in(COMMAND | {name: "U" * longest}) == []
    assert odd_in(COMMAND | {name: "U" * (longest + 1)}) == [name]


def test_a_payload_of_another_kind_is_left_to_bolt() -> None:
    """It has other fields, and no listener."""
    assert odd_in({"type": "view_closed", "view": {"type": "modal"}}) == []
    assert odd_in({"type": ["shortcut"], "event": {"type": {}}}) == []
    assert odd_in({"type": "event_callback", "event": {"type": "message", "user": {"id": 1}}}) == []


def _form(**values: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "modules": {"modules": {"selected_options": [{"value": "vps"}]}},
        "numbers": {"numbers": {"value": "1"}},
        "note": {"note": {"value": None}},
    }
    return {"private_metadata": json.dumps(MEMORY), "state": {"values": whole | values}}


CARRIED: list[tuple[Callable[[Any], object], list[Any]]] = [
    (Clicked.read, [None, 7, "", "x", "x:m", "-1", "1e3", "１", "9" * 19, "9" * 5000, "1:\ud800"]),
    (Several.of, [None, {}, "vps 2026-02-30", "vps x"]),
    (Pick.of, [None, "", "vps", "vps x", "vps 0", "VPS 1", f"vps {10**30}", "vps 1 x USD", "vps 1 NaN USD"]),
    (
        lambda given: Memory.of({"private_metadata": given}),
        [
            None,
            "",
            "{}",
            "7",
            "[]",
            "[" * 100,
            json.dumps(MEMORY[:4]),
            json.dumps([["C1"], *MEMORY[1:]]),
            json.dumps([[1, None, None], *MEMORY[1:]]),
            json.dumps([["C" * 33, None, None], *MEMORY[1:]]),
            json.dumps([[None, "\x00", None], *MEMORY[1:]]),
            json.dumps([MEMORY[0], "1", *MEMORY[2:]]),
            json.dumps([*MEMORY[:2], {"vps": [10**30]}, *MEMORY[3:]]),
            json.dumps([*MEMORY[:3], "tomorrow", []]),
            json.dumps([*MEMORY[:4], [1]]),
            json.dumps([*MEMORY[:4], [""]]),
        ],
    ),
    (
        Entered.of,
        [
            {},
            {"state": None},
            without(_form(), "state", "values", "numbers"),
            _form(modules={"modules": {"selected_options": [{}]}}),
            _form(modules={"modules": {"selected_options": [{"value": ""}]}}),
            _form(numbers={"numbers": {"value": 10**30}}),
            _form(channel={"channel": {"selected_conversation": 7}}),
            _form(**{"invoice:0": {"invoice": {"selected_options": [{"value": "vps"}]}}}),
            _form(when={"when": {"selected_option": {"value": "on"}}}, day={"day": {"selected_date": "x"}}),
        ],
    ),
    (
        lambda given: entered_in(given, "reason"),
        [
            {},
            {"state": {"values": {"reason": {}}}},
            {"state": {"values": {"reason": {"reason": {"value": 7}}}}},
        ],
    ),
]


@pytest.mark.parametrize(("read", "given"), [(read, one) for read, those in CARRIED for one in those])
def test_what_another_wrote_is_not_understood(read: Callable[[Any], object], given: Any) -> None:
    """Whatever stands where the app itself writes: no guess, and no other error."""
    with pytest.raises(NotUnderstood):
        read(given)


@pytest.mark.parametrize("given", [None, 7, "", "\ud800", "U" * 33, []])
def test_a_step_is_started_by_somebody_with_an_id(given: object) -> None:
    """Or by nobody, which the step says; the ledger never meets what is none."""
    declared = {"input_parameters": [{"name": "requester", "type": "slack#/types/user_context"}]}
    assert _who({"function": declared, "inputs": {"requester": {"id": given}}}) is None
    assert _who({"function": declared, "inputs": {"requester": {"id": "U0ALICE001"}}}) == "U0ALICE001"


def test_what_a_person_types_is_cleaned_and_not_refused() -> None:
    """Half a character, or what no database takes: pasting leaves such behind."""
    assert Entered.of(_form(note={"note": {"value": "a\x00b\ud800"}})).note == "a b?"


def test_what_the_app_wrote_is_understood() -> None:
    """Or nothing of the above would prove anything."""
    assert Clicked.read("42:m 10.00 USD") == Clicked(42, "m", "10.00 USD")
    assert Entered.of(_form()).modules == ("vps",)
    assert Memory.of({"private_metadata": json.dumps(MEMORY)}).serial == 0


def test_a_bug_is_no_such_thing() -> None:
    """Only what reading raises counts."""
    with pytest.raises(AssertionError), understanding():
        raise AssertionError("bug")


def _tampered(message: Message, action: str, value: str) -> Message:
    """The same message, one of whose buttons carries something else."""
    [pressed] = [
        element
        for block in message.blocks
        for element in block.get("elements", ())
        if element.get("action_id") == action
    ]
    pressed["value"] = value
    return message


@pytest.mark.parametrize("action", [APPROVE, DENY])
async def test_who_clicks_a_forged_button_is_told_and_nothing_is_done(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any], action: str
) -> None:
    """In a sentence with what to do, and without a word of a bug; the request waits as before."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    before = len(await bot.ledger.history(1))
    assert (await slack.person("bob").clicks(_tampered(card(slack), action, "9" * 30), action)).ok
    assert await told(slack, "bob") == replies.NOT_UNDERSTOOD
    assert not [one for one in logs if one["event"] == "unexpected"]
    assert await state_of(bot) is State.PENDING_APPROVAL
    assert len(await bot.ledger.history(1)) == before


@pytest.mark.parametrize(("name", "value"), [("private_metadata", "v2/1"), ("callback_id", "newer_form")])
async def test_a_form_of_another_version_is_told_in_its_place(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any], name: str, value: str
) -> None:
    """It was open while the bot was upgraded or set back, perhaps; also one that nobody listens for."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    assert (await slack.person("bob").clicks(card(slack), DENY)).ok
    (form,) = await slack.wait_for(lambda: slack.views("bob"))
    form.definition[name] = value
    assert (await slack.person("bob").submits(form, text("reason", "not ours"))).ok
    (told_there,) = slack.views("bob")[-1].blocks
    assert told_there["text"]["text"] == replies.NOT_UNDERSTOOD
    assert not [one for one in logs if one["event"] == "unexpected"]
    assert await state_of(bot) is State.PENDING_APPROVAL


async def test_a_button_that_nobody_listens_for_says_so(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any]
) -> None:
    """A newer version posted it, perhaps: no warning sign of Slack's, but a sentence with what to do."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot)
    message = card(slack)
    for block in message.blocks:
        for element in block.get("elements", ()):
            element["action_id"] = f"newer_{element['action_id']}"
    assert (await slack.person("bob").clicks(message, f"newer_{APPROVE}")).ok
    assert await told(slack, "bob") == replies.NOT_UNDERSTOOD
    assert not [one for one in logs if one["event"] == "unexpected"]
    assert await state_of(bot) is State.PENDING_APPROVAL


@pytest.mark.parametrize(
    "value",
    [
        "",
        "7",
        "[]",
        f'["{"t" * 151}","s","vps 1",null]',
        '["t","s","vps 10101",7]',
        '["t","s","vps 1e3",null]',
        '["t","s","vps 1",null,"x"]',
        json.dumps(["t", "s", f"vps {' '.join(map(str, range(1, 102)))}", None]),
    ],
)
async def test_a_forged_preview_asks_for_nothing(
    slack: LocalSlack, bot: app.Bot, logs: list[Any], value: str
) -> None:
    """Neither more than a person may ask for at once, nor anything that is no invoice."""
    assert (await slack.person("alice").types("#payments", "/pay vps 10101 10102")).ok
    [shown] = await slack.wait_for(
        lambda: [m for m in slack.ephemerals("alice") if CONFIRM in m.action_ids()]
    )
    assert (await slack.person("alice").clicks(_tampered(shown, CONFIRM, value), CONFIRM)).ok
    await at_rest(bot)
    assert replies.NOT_UNDERSTOOD in [one.text for one in slack.ephemerals("alice")]
    assert await bot.ledger.of_request(1) is None
    assert not [one for one in logs if one["event"] == "unexpected"]
