"""What the app's manifest says that Slack acts on: name, commands, shortcuts, scopes, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.sandbox.local_slack.messages import Json

DEFAULT_MANIFEST: Json = {
    "display_information": {
        "name": "Invoice Pay",
        "description": "Pays InterServer MyAdmin invoices from a channel, with approvals where the policy "
        "asks for them.",
        "background_color": "#1f3a5f",
    },
    "features": {
        "app_home": {
            "home_tab_enabled": True,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": True,
        },
        "bot_user": {"display_name": "invoice-pay", "always_online": True},
        "shortcuts": [
            {
                "name": "Pay an invoice",
                "type": "global",
                "callback_id": "pay_invoice",
                "description": "Ask for an invoice to be paid",
            }
        ],
        "slash_commands": [
            {
                "command": "/pay",
                "description": "Pay an invoice",
                "usage_hint": "<module> <invoice>, or help",
                "should_escape": False,
            }
        ],
    },
    "oauth_config": {
        "scopes": {
            "bot": [
                "commands",
                "chat:write",
                "users:read",
                "usergroups:read",
                "channels:read",
                "groups:read",
            ],
            "bot_optional": ["channels:history", "groups:history"],
        }
    },
    "settings": {
        "event_subscriptions": {"bot_events": ["app_home_opened"]},
        "interactivity": {"is_enabled": True},
        "org_deploy_enabled": False,
        "socket_mode_enabled": True,
        "token_rotation_enabled": False,
    },
}
"""The app that is installed at Acme where no other is named: a test holds it to manifest.yml."""


@dataclass(frozen=True, slots=True)
class AppManifest:
    """The parsed manifest, asked the questions that the local Slack has."""

    content: Json

    @property
    def app_name(self) -> str:
        """What people see as the app's name."""
        return str(self.content["display_information"]["name"])

    @property
    def bot_name(self) -> str:
        """The bot's user name, as in `/invite @invoice-pay`."""
        display_name = self._feature("bot_user", {}).get("display_name", self.app_name)
        return "-".join(str(display_name).lower().split())

    @property
    def commands(self) -> list[Json]:
        """The slash commands: command, description, usage_hint."""
        return list(self._feature("slash_commands", []))

    @property
    def shortcuts(self) -> list[Json]:
        """The global shortcuts: callback_id, name, description."""
        return [each for each in self._feature("shortcuts", []) if each.get("type") == "global"]

    @property
    def home_tab_enabled(self) -> bool:
        """Whether views.publish works."""
        return bool(self._feature("app_home", {}).get("home_tab_enabled"))

    @property
    def messages_tab_enabled(self) -> bool:
        """Whether there are direct messages between people and the bot."""
        return bool(self._feature("app_home", {}).get("messages_tab_enabled", True))

    @property
    def messages_tab_writable(self) -> bool:
        """Whether people can write to the bot there; if not, they cannot type commands either."""
        return not self._feature("app_home", {}).get("messages_tab_read_only_enabled", True)

    @property
    def interactivity_enabled(self) -> bool:
        """Whether clicks, submissions and shortcuts are delivered at all."""
        return bool(self._setting("interactivity").get("is_enabled"))

    @property
    def suggestions_enabled(self) -> bool:
        """Whether the app is asked for options: without Socket Mode, that needs an address of its own."""
        return self.socket_mode_enabled or bool(
            self._setting("interactivity").get("message_menu_options_url")
        )

    @property
    def socket_mode_enabled(self) -> bool:
        """Whether apps.connections.open works."""
        return bool(self.content.get("settings", {}).get("socket_mode_enabled"))

    @property
    def request_url(self) -> str | None:
        """Where events are delivered; None where that is Socket Mode, which wins if it is on as well."""
        url = self._setting("event_subscriptions").get("request_url")
        return None if self.socket_mode_enabled or url is None else str(url)

    @property
    def refusals(self) -> list[str]:
        """Why Slack would not take it: without Socket Mode, everything that is delivered needs an address.

        The words for events and for interactivity are those of apps.manifest.validate.
        """
        if self.socket_mode_enabled:
            return []
        found = []
        if self.events and self.request_url is None:
            found.append("Event Subscription requires either Request URL or Socket Mode Enabled")
        if self.interactivity_enabled and not self._setting("interactivity").get("request_url"):
            found.append("Interactivity requires a Request URL")
        found += [f"{each['command']} requires a URL" for each in self.commands if not each.get("url")]
        return found

    @property
    def events(self) -> frozenset[str]:
        """The event types that the app subscribed to."""
        return frozenset(self._setting("event_subscriptions").get("bot_events", ()))

    @property
    def scopes(self) -> frozenset[str]:
        """The bot scopes, optional ones included: the person who installs it grants them all."""
        scopes = self.content.get("oauth_config", {}).get("scopes", {})
        return frozenset([*scopes.get("bot", ()), *scopes.get("bot_optional", ())])

    @property
    def functions(self) -> dict[str, Json]:
        """The custom steps for Workflow Builder, by callback id."""
        return dict(self.content.get("functions", {}))

    def _feature(self, name: str, default: Any) -> Any:
        return self.content.get("features", {}).get(name, default)

    def _setting(self, name: str) -> Json:
        setting: Json = self.content.get("settings", {}).get(name, {})
        return setting
