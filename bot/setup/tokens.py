"""The two tokens of the Slack app: the bot's own, and the one that opens the connection."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.checks.findings import Verdict
from bot.checks.of_slack import ADD_SCOPES, of_scopes
from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.setup.draft import Draft
from bot.setup.step import Known
from bot.setup.terminal import Terminal
from bot.slack import roster
from bot.slack.installation import NEEDED, app_connected, installation_of, of_one_app

_OTHERS = {
    "SLACK_BOT_TOKEN": {
        "xapp-": "this is the app's token, which is asked for next",
        "xoxp-": "this is a person's token",
        "xoxe": "this is a token that expires; turn token rotation off",
    },
    "SLACK_APP_TOKEN": {"xoxb-": "this is the bot's token again"},
}
"""What is pasted by mistake, by how it begins."""

_SIGNING_SECRET = re.compile(r"[0-9a-f]{32}", re.ASCII)

_OVER_HTTP = "Slack is to reach the bot over HTTP, which cannot be tried from here"


def _kind(draft: Draft, name: str, remedy: str) -> None:
    """Raises ConfigError for a token of another kind."""
    for prefix, what in _OTHERS[name].items():
        if draft.get(name).startswith(prefix):
            raise ConfigError(Problem(name, what, remedy))
    draft.check(name)


@dataclass(frozen=True, slots=True)
class BotToken:
    """Whose it is, and whether it may do what the bot does. Then everybody in the team is known."""

    known: Known
    variables = ("SLACK_BOT_TOKEN", "SLACK_API_URL")

    def needed(self) -> tuple[str, ...]:
        """Always."""
        return ("SLACK_BOT_TOKEN",)

    def wanted(self) -> bool:
        """Always."""
        return True

    def ask(self, terminal: Terminal) -> None:
        """Hidden."""
        draft = self.known.draft
        if draft.get("SLACK_API_URL"):
            terminal.say(f"Slack is at {draft.get('SLACK_API_URL')} (SLACK_API_URL).")
        draft.set(
            "SLACK_BOT_TOKEN",
            terminal.ask_secretly(
                "Bot token (from OAuth & Permissions), xoxb-...", draft.get("SLACK_BOT_TOKEN")
            ),
        )

    async def check(self) -> list[str]:
        """Ask Slack."""
        known = self.known
        _kind(known.draft, "SLACK_BOT_TOKEN", "The bot's token begins with xoxb-: see OAuth & Permissions.")
        known.draft.check("SLACK_API_URL")
        client = known.client
        found = await installation_of(client)
        if found.missing:
            missing = ", ".join(f"{scope} ({NEEDED[scope]})" for scope in found.missing)
            raise ConfigError(Problem("SLACK_BOT_TOKEN", f"it lacks the scopes {missing}", ADD_SCOPES))
        known.members = await roster.members(client, found.workspace.team)
        known.groups = await roster.groups(client)
        known.installation = found
        people = sum(one.active and not one.bot for one in known.members)
        said = [f"@{found.workspace.bot_name} in {found.team}, with {people} people"]
        if known.draft.get("SLACK_SIGNING_SECRET") and not known.draft.get("SLACK_APP_TOKEN"):
            said.append(_OVER_HTTP)
        return said + [str(finding) for finding in of_scopes(found) if finding.verdict is not Verdict.OK]


@dataclass(frozen=True, slots=True)
class AppToken:
    """Whether it connects, and belongs to the same app. Over HTTP, a signing secret stands in its place."""

    known: Known
    variables = ("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")

    def needed(self) -> tuple[str, ...]:
        """It, where there is no signing secret."""
        return () if self.known.draft.get("SLACK_SIGNING_SECRET") else ("SLACK_APP_TOKEN",)

    def wanted(self) -> bool:
        """Not where Slack reaches the bot over HTTP; nobody can try that from here."""
        return "SLACK_APP_TOKEN" in self.needed() or bool(self.known.draft.get("SLACK_APP_TOKEN"))

    def ask(self, terminal: Terminal) -> None:
        """Hidden. Which of the two it is, is seen by its form."""
        draft = self.known.draft
        answer = terminal.ask_secretly(
            "App token (from Basic Information), xapp-...; for HTTP mode, the Signing Secret",
            draft.get("SLACK_APP_TOKEN"),
        ).strip()
        over_http = _SIGNING_SECRET.fullmatch(answer) is not None
        draft.set("SLACK_APP_TOKEN", "" if over_http else answer)
        draft.set("SLACK_SIGNING_SECRET", answer if over_http else "")

    async def check(self) -> list[str]:
        """Connect, and hang up. Over HTTP nothing can be tried."""
        draft = self.known.draft
        if draft.get("SLACK_SIGNING_SECRET"):
            return [_OVER_HTTP]
        _kind(draft, "SLACK_APP_TOKEN", "It begins with xapp-: see Basic Information, App-Level Tokens.")
        app = await app_connected(self.known.client, draft.get("SLACK_APP_TOKEN"))
        if problem := of_one_app(self.known.bot, app):
            raise ConfigError(problem)
        return ["Socket Mode connects"]
