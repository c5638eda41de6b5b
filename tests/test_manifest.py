"""manifest.yml: what Slack takes, and exactly what the code uses."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient

from bot.manifest import manifest, request_url
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST, AppManifest
from bot.slack.installation import NEEDED
from bot.slack.installation import OPTIONAL as OPTIONAL_SCOPES
from tests.command_line import Ended, invoke

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "manifest.yml").read_text(encoding="utf-8")
MANIFEST: dict[str, Any] = yaml.safe_load(TEXT)


def text(most: int, least: int = 1, pattern: str = "") -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most, "pattern": pattern}


def record(required: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": fields,
        "additionalProperties": False,
    }


def array(items: dict[str, Any], most: int, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most, "uniqueItems": True}


YES_NO = {"type": "boolean"}
URL = text(3500, pattern="^https?://")
SCOPES = array(text(50), 255)
EVENTS = array(text(50), 100)

PARAMETER = {
    "type": "object",
    "required": ["type", "name"],
    "properties": {
        "type": {
            "enum": [
                "string",
                "integer",
                "number",
                "boolean",
                "slack#/types/user_context",
                "slack#/types/user_id",
                "slack#/types/channel_id",
            ]
        },
        "name": text(100),
        "title": text(255),
        "description": text(1000),
        "hint": text(1000),
        "is_required": YES_NO,
    },
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "additionalProperties": PARAMETER, "maxProperties": 20}

SCHEMA = record(
    ["display_information"],
    display_information=record(
        ["name"],
        name=text(35),
        description=text(140),
        long_description=text(4000, 175),
        background_color=text(7, 4, "^#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?$"),
    ),
    features=record(
        [],
        app_home=record(
            [],
            home_tab_enabled=YES_NO,
            messages_tab_enabled=YES_NO,
            messages_tab_read_only_enabled=YES_NO,
        ),
        bot_user=record(["display_name"], display_name=text(80), always_online=YES_NO),
        shortcuts=array(
            record(
                ["name", "type", "callback_id", "description"],
                name=text(24),
                type={"enum": ["message", "global"]},
                callback_id=text(255),
                description=text(150),
            ),
            10,
            1,
        ),
        slash_commands=array(
            record(
                ["command", "description"],
                command=text(32, 2, "^/"),
                url=URL,
                description=text(2000),
                usage_hint=text(1000),
                should_escape=YES_NO,
            ),
            50,
            1,
        ),
    ),
    oauth_config=record([], scopes=record([], bot=SCOPES, bot_optional=SCOPES)),
    settings=record(
        [],
        event_subscriptions=record([], request_url=URL, bot_events=EVENTS),
        interactivity=record(
            ["is_enabled"], is_enabled=YES_NO, request_url=URL, message_menu_options_url=URL
        ),
        org_deploy_enabled=YES_NO,
        socket_mode_enabled=YES_NO,
        token_rotation_enabled=YES_NO,
        function_runtime={"const": "remote"},
    ),
    functions={
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": record(
            ["title", "description", "input_parameters", "output_parameters"],
            title=text(255),
            description=text(1000),
            input_parameters=PARAMETERS,
            output_parameters=PARAMETERS,
        ),
    },
)
"""The parts of github.com/slackapi/manifest-schema that a manifest of ours can have. Of functions Slack's
schema and its documents disagree; this is the form of the documents."""


class TestSlacksRules:
    def test_slack_takes_it(self) -> None:
        """By Slack's own rules, with no field that they do not name."""
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        jsonschema.validate(MANIFEST, SCHEMA)

    @pytest.mark.parametrize(
        "change",
        [
            {"display_information": {"name": "x" * 36}},
            {"display_information": {"name": "x", "long_description": "too short"}},
            {"display_information": {"name": "x", "colour": "#fff"}},
            {"features": {"slash_commands": [{"command": "pay", "description": "x"}]}},
            {"settings": {"interactivity": {}}},
        ],
    )
    def test_the_rules_refuse_what_slack_refuses(self, change: dict[str, Any]) -> None:
        """A schema that takes everything would prove nothing."""
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(MANIFEST | change, SCHEMA)


SCOPES_OF = {
    "auth.test": set(),
    "apps.connections.open": set(),  # an app-level token's connections:write
    "bots.info": {"users:read"},
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "conversations.info": {"channels:read", "groups:read"},
    "conversations.members": {"channels:read", "groups:read"},
    "users.conversations": {"channels:read", "groups:read"},
    "conversations.history": {"channels:history", "groups:history"},
    "conversations.replies": {"channels:history", "groups:history"},
    "functions.completeSuccess": set(),
    "functions.completeError": set(),
    "usergroups.list": {"usergroups:read"},
    "usergroups.users.list": {"usergroups:read"},
    "users.info": {"users:read"},
    "users.list": {"users:read"},
    "views.open": set(),
    "views.publish": set(),
    "views.update": set(),
}
"""By Slack's documents, for public and private channels. A method that is not here has to be looked up."""

OPTIONAL = {"conversations.history", "conversations.replies"}
"""What the bot does without where it may not."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the Slack layer, by name."""
    for path in sorted((ROOT / "bot" / "slack").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def methods_used() -> set[str]:
    """Web API methods: by their names in texts, and by the client's own methods."""
    known = re.compile(
        r"(auth|apps|chat|conversations|functions|usergroups|users|views|bots|team)(\.[a-zA-Z]+)+"
    )
    found = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and known.fullmatch(node.value):
                found.add(node.value)
            if isinstance(node, ast.Attribute) and hasattr(AsyncWebClient, node.attr):
                as_method = node.attr.replace("_", ".")
                if known.fullmatch(as_method):
                    found.add(as_method)
    return found


KINDS = {"action", "command", "event", "function", "message", "options", "shortcut", "step", "view"}


def listeners() -> dict[str, set[str]]:
    """What is registered on the Bolt app: kind, and the constants by name."""
    found: dict[str, set[str]] = {}
    for module, tree in sources():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            on_app = isinstance(node.func.value, ast.Name) and node.func.value.id == "app"
            # What no other listens for is listened for as well, and is in no manifest.
            if on_app and node.func.attr in KINDS and node.args and ast.unparse(node.args[0]) != "_ANY":
                found.setdefault(node.func.attr, set()).add(value_of(node.args[0], module))
    return found


def value_of(node: ast.expr, module: str) -> str:
    """A text constant, or the constant of this or another module that is named."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    names = ast.unparse(node).split(".")
    value: Any = importlib.import_module(module)
    for name in names:
        value = getattr(value, name)
    return value if isinstance(value, str) else names[-1]


def granted(kind: str) -> set[str]:
    return set(MANIFEST["oauth_config"]["scopes"].get(kind, ()))


class TestWhatTheCodeUses:
    def test_every_method_that_is_used_is_known(self) -> None:
        """So that its scopes can be told."""
        used = methods_used()
        assert {"auth.test", "chat.postMessage", "users.info"} <= used
        assert used <= SCOPES_OF.keys()

    def test_the_scopes_are_those_that_the_code_needs(self) -> None:
        """None is missing and none is superfluous; what the bot can do without is optional."""
        used = methods_used()
        needed = {scope for method in used - OPTIONAL for scope in SCOPES_OF[method]}
        if {"command", "shortcut"} & listeners().keys():
            needed.add("commands")
        assert granted("bot") == needed
        optional = {scope for method in used & OPTIONAL for scope in SCOPES_OF[method]}
        assert granted("bot_optional") == optional - needed

    def test_a_check_asks_for_the_same_scopes(self) -> None:
        """What it calls missing or superfluous is what the manifest says."""
        assert granted("bot") == NEEDED.keys()
        assert granted("bot_optional") == OPTIONAL_SCOPES.keys()

    def test_the_commands_and_shortcuts_are_those_that_are_listened_for(self) -> None:
        """A command that nobody answers would be a time-out for who types it."""
        features, registered = MANIFEST["features"], listeners()
        assert {each["command"] for each in features["slash_commands"]} == registered["command"]
        shortcuts = {each["callback_id"] for each in features.get("shortcuts", ())}
        assert shortcuts == registered.get("shortcut", set())

    def test_the_events_are_those_that_are_listened_for(self) -> None:
        """Slack sends what is subscribed to, and tries again where nobody answers."""
        subscribed = set(MANIFEST["settings"].get("event_subscriptions", {}).get("bot_events", ()))
        functions = MANIFEST.get("functions", {})
        assert subscribed - {"function_executed"} == listeners().get("event", set())
        assert ("function_executed" in subscribed) is bool(functions)
        assert functions.keys() <= listeners().get("function", set())

    def test_buttons_and_forms_can_be_used(self) -> None:
        """Interactivity is on where the code listens for any; the Home tab where it is published."""
        interactive = {"action", "view", "shortcut"} & listeners().keys()
        assert MANIFEST["settings"]["interactivity"]["is_enabled"] is bool(interactive)
        home = "app_home_opened" in listeners().get("event", set())
        assert MANIFEST["features"]["app_home"]["home_tab_enabled"] is home

    def test_the_local_slack_installs_this_very_app(self) -> None:
        """What is tried in the sandbox is what Slack gets; a running bot needs no reader of YAML for it."""
        assert DEFAULT_MANIFEST == MANIFEST

    def test_the_command_says_how_it_is_used(self) -> None:
        """Where it is typed. Escaping stays off: the bot reads plain words, and no mention is ever meant."""
        (command,) = MANIFEST["features"]["slash_commands"]
        assert command["usage_hint"]
        assert command["should_escape"] is False
        assert "url" not in command, "Socket Mode needs none"

    def test_it_is_for_socket_mode_and_a_token_that_stays(self) -> None:
        """A token that rotates would have to be kept anew every few hours."""
        settings = MANIFEST["settings"]
        assert settings["socket_mode_enabled"] is True
        assert settings["token_rotation_enabled"] is False

    def test_direct_messages_reach_people(self) -> None:
        """The bot tells people directly what it cannot tell in a channel, so its Messages tab is on."""
        assert MANIFEST["features"]["app_home"]["messages_tab_enabled"] is True


HTTPS = "https://pay.example.com"
URL_OF_IT = "https://pay.example.com/slack/events"


def printed(*, http: bool, step: bool) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(manifest(URL_OF_IT if http else None, workflow_step=step))
    return content


def differences(one: Any, other: Any, place: str = "") -> set[str]:
    """Where the two differ: what is missing, added or another value."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return {
            found for key in keys for found in differences(one.get(key), other.get(key), f"{place}/{key}")
        }
    return set() if one == other else {place}


class TestWhatIsPrinted:
    @pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
    @pytest.mark.parametrize("step", [False, True], ids=["plain", "step"])
    def test_slack_takes_each(self, http: bool, step: bool) -> None:
        """By its schema, and as the local Slack has it: nothing is delivered to nowhere."""
        content = printed(http=http, step=step)
        jsonschema.validate(content, SCHEMA)
        assert AppManifest(content).refusals == []

    async def test_plain_it_is_the_file(self) -> None:
        """Whoever pastes the file and whoever prints it get the same app."""
        assert await invoke("manifest") == Ended(0, TEXT, "")

    async def test_http_says_where_and_turns_socket_mode_off(self) -> None:
        """Events, buttons and the command each name the one address, and nothing else is another."""
        ended = await invoke("manifest", "--http", HTTPS)
        assert (ended.code, ended.err) == (0, "")
        content = yaml.safe_load(ended.out)
        assert differences(MANIFEST, content) == {
            "/settings/socket_mode_enabled",
            "/settings/event_subscriptions/request_url",
            "/settings/interactivity/request_url",
            "/settings/interactivity/message_menu_options_url",
            "/features/slash_commands/0/url",
        }
        assert ended.out.count(URL_OF_IT) == 4
        assert content["settings"]["socket_mode_enabled"] is False

    async def test_the_workflow_step_is_one_that_is_listened_for(self) -> None:
        """It adds the step, its event and what Slack demands of an app that has one."""
        ended = await invoke("manifest", "--workflow-step")
        content = yaml.safe_load(ended.out)
        assert differences(MANIFEST, content) == {
            "/functions",
            "/settings/event_subscriptions/bot_events",
            "/settings/org_deploy_enabled",
        }
        assert "# Workflow Builder" not in ended.out
        assert "function_executed" in content["settings"]["event_subscriptions"]["bot_events"]
        assert content["settings"]["org_deploy_enabled"] is True
        assert content["functions"].keys() == listeners()["function"]
        requester = next(iter(content["functions"].values()))["input_parameters"]["requester"]
        assert requester["type"] == "slack#/types/user_context", "a user_id could be anybody's"

    @pytest.mark.parametrize(
        ("address", "url"),
        [
            (HTTPS, URL_OF_IT),
            (f"{HTTPS}/", URL_OF_IT),
            (URL_OF_IT, URL_OF_IT),
            ("https://example.com:8443/pay", "https://example.com:8443/pay/slack/events"),
        ],
    )
    def test_an_address_may_be_written_in_several_ways(self, address: str, url: str) -> None:
        """With a slash at its end or without, with the path or without."""
        assert request_url(address) == url

    @pytest.mark.parametrize(
        "address",
        [
            "http://pay.example.com",
            "pay.example.com",
            "https://",
            "https://a b",
            "https://x/?a=b",
            "https://x\ny: 1",
        ],
    )
    async def test_what_is_no_public_address_is_refused(self, address: str) -> None:
        """Slack wants https, and nothing but an address gets into the manifest."""
        ended = await invoke("manifest", "--http", address)
        assert (ended.code, ended.out) == (2, "")
        assert "must be a public address such as https://pay.example.com" in ended.err
