"""Where /pay works, and where approval cards are posted: channels that the bot is in."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.problem import Problem
from bot.domain.slack_ids import is_channel
from bot.domain.wording import quote
from bot.errors import ConfigError
from bot.setup.people import approvals_of, words_of
from bot.setup.step import Known
from bot.setup.terminal import Terminal
from bot.slack import roster
from bot.slack.roster import Channel

EVERYWHERE = "all"
"""The answer for every channel that the bot is in."""

WHERE_ASKED = "same"
"""The answer for the channel in which a payment was requested."""


async def _found(known: Known, word: str, variable: str) -> Channel:
    """The channel that is meant, where the bot is in it. Raises ConfigError."""
    name = word.removeprefix("#")
    invite = (
        f"In Slack, open it and type /invite @{known.bot.workspace.bot_name}; then answer the same again."
    )
    own = await roster.channels_of_bot(known.client)
    for channel in own:
        if name in (channel.id, channel.name):
            return channel
    channel_by_id = await roster.channel(known.client, name) if is_channel(name) else None
    if channel_by_id is not None and channel_by_id.archived:
        raise ConfigError(Problem(variable, f"{channel_by_id} is archived", "Name another."))
    if channel_by_id is not None:
        raise ConfigError(Problem(variable, f"the bot is not in {channel_by_id}", invite))
    raise ConfigError(Problem(variable, f"the bot is in no channel {quote(word)}", invite))


@dataclass(frozen=True, slots=True)
class Channels:
    """Where /pay works."""

    known: Known
    variables = ("PAY_ALLOWED_CHANNELS",)

    def needed(self) -> tuple[str, ...]:
        """Never: every channel that the bot is in will do."""
        return ()

    def wanted(self) -> bool:
        """Where the rules do not stand in a file of their own."""
        return not self.known.draft.get("PAY_POLICY_FILE")

    def ask(self, terminal: Terminal) -> None:
        """By name."""
        draft = self.known.draft
        question = f"In which channels does /pay work? (#names; {EVERYWHERE}: wherever the bot is)"
        draft.set(
            "PAY_ALLOWED_CHANNELS", terminal.ask(question, draft.get("PAY_ALLOWED_CHANNELS") or EVERYWHERE)
        )

    async def check(self) -> list[str]:
        """The bot is in each; where none is named, in any."""
        draft = self.known.draft
        words = words_of(draft.get("PAY_ALLOWED_CHANNELS"))
        if words in ([], [EVERYWHERE]):
            draft.set("PAY_ALLOWED_CHANNELS", "")
            if own := await roster.channels_of_bot(self.known.client):
                return [f"now in {', '.join(map(str, own))}"]
            return [
                f"the bot is in none yet; in Slack, type /invite @{self.known.bot.workspace.bot_name} there"
            ]
        found = [await _found(self.known, word, "PAY_ALLOWED_CHANNELS") for word in words]
        draft.set("PAY_ALLOWED_CHANNELS", ",".join(dict.fromkeys(one.id for one in found)))
        return [str(one) for one in found]


@dataclass(frozen=True, slots=True)
class ApprovalChannel:
    """Where approval cards are posted."""

    known: Known
    variables = ("PAY_APPROVAL_CHANNEL",)

    def needed(self) -> tuple[str, ...]:
        """Never: the channel of the request will do."""
        return ()

    def wanted(self) -> bool:
        """Where there are approvals."""
        return not self.known.draft.get("PAY_POLICY_FILE") and approvals_of(self.known) > 0

    def ask(self, terminal: Terminal) -> None:
        """By name."""
        draft = self.known.draft
        question = f"Where are approvals asked for? (#name; {WHERE_ASKED}: where the payment was requested)"
        draft.set(
            "PAY_APPROVAL_CHANNEL", terminal.ask(question, draft.get("PAY_APPROVAL_CHANNEL") or WHERE_ASKED)
        )

    async def check(self) -> list[str]:
        """The bot is in it."""
        draft = self.known.draft
        word = draft.get("PAY_APPROVAL_CHANNEL")
        if word in ("", WHERE_ASKED):
            draft.set("PAY_APPROVAL_CHANNEL", "")
            return []
        found = await _found(self.known, word, "PAY_APPROVAL_CHANNEL")
        draft.set("PAY_APPROVAL_CHANNEL", found.id)
        return [str(found)]
