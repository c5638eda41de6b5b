"""A faithful local Slack: Web API, Socket Mode, HTTP mode and people, over real sockets."""

from bot.sandbox.local_slack.server import LocalSlack

__all__ = ["LocalSlack"]
