"""The arguments of a Web API call, whichever way they were sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.sandbox.local_slack.errors import ApiError

_JSON_ARGUMENTS = frozenset({"blocks", "metadata", "view", "outputs"})


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """The arguments from the query and from a form or JSON body; raises ApiError if unreadable."""
    arguments: dict[str, Any] = dict(request.query)
    if request.method == "GET" or not request.can_read_body:
        return arguments
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            raise ApiError("invalid_json") from None
        if not isinstance(body, dict):
            raise ApiError("json_not_object")
        return arguments | body
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return arguments | dict(await request.post())
    raise ApiError("invalid_post_type")


class Arguments:
    """Reads typed values, and answers what is missing or malformed as Slack does."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> set[str]:
        """The names of the arguments that were given."""
        return set(self._values)

    def required(self, name: str) -> str:
        """A string that has to be there."""
        value = self.text(name)
        if not value:
            raise ApiError.with_messages(
                "invalid_arguments", [f"missing required field: {name} [json-pointer:/{name}]"]
            )
        return value

    def text(self, name: str) -> str:
        """A string, empty if not given."""
        value = self._values.get(name, "")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ApiError.with_messages(
                "invalid_arguments", [f"must provide a string [json-pointer:/{name}]"]
            )
        return str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false; forms say 1, 0, true or false."""
        value = self._values.get(name, default)
        if isinstance(value, str):
            return value.lower() in ("1", "true")
        return bool(value)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`."""
        text = self.text(name)
        if not text:
            return default
        if not text.isdecimal() or int(text) < 1:
            raise ApiError("invalid_limit" if name == "limit" else "invalid_arguments")
        return min(int(text), most)

    def structure(self, name: str) -> Any:
        """A JSON value: as it stands in a JSON body, as a string in a form. None if not given."""
        assert name in _JSON_ARGUMENTS
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            code = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}
            raise ApiError(code.get(name, "invalid_arguments")) from None
