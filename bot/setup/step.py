"""What a question is, and what is known once the first ones are answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bot.setup.draft import Draft
from bot.setup.terminal import Terminal
from bot.slack.installation import Installation
from bot.slack.roster import Group, Member
from bot.slack.web_api import Client, web_client


@dataclass(slots=True)
class Known:
    """What Slack said. installation: None until there is a good token."""

    draft: Draft
    installation: Installation | None = None
    members: list[Member] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    @property
    def client(self) -> Client:
        """For questions to Slack, with the token that was answered."""
        return web_client(self.draft.get("SLACK_BOT_TOKEN"), self.draft.setting("SLACK_API_URL"))

    @property
    def bot(self) -> Installation:
        """Who the bot is; only for what is asked after its token."""
        assert self.installation is not None, "bug: the bot's token is asked first"
        return self.installation


class Step(Protocol):
    """One question, or several that are tried together."""

    @property
    def variables(self) -> tuple[str, ...]:
        """What it answers."""

    def needed(self) -> tuple[str, ...]:
        """The variables that must be set; none of them where it need not be asked."""

    def wanted(self) -> bool:
        """Whether it is asked at all, after what was answered so far."""

    def ask(self, terminal: Terminal) -> None:
        """Put the answers into the draft."""

    async def check(self) -> list[str]:
        """Try them on the real thing; what is to be said of it. Raises ConfigError."""
