"""The methods of the Web API that this local Slack knows; everything else is `unknown_method`."""

from __future__ import annotations

from bot.sandbox.local_slack.methods import app, chat, conversations, people, views
from bot.sandbox.local_slack.methods.method import Method

METHODS: dict[str, Method] = (
    app.METHODS | chat.METHODS | conversations.METHODS | people.METHODS | views.METHODS
)
