"""The answers so far. None of them can be printed by accident: each is kept as a secret is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from bot import config
from bot.config import Settings
from bot.errors import ConfigError
from bot.logs import passwords_in

SECRETS = frozenset({"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "BILLING_PASSWORD"})
"""What is never shown and never taken from a command line, which others on the machine can read."""


def is_secret(name: str, value: str) -> bool:
    """Whether this value of a variable is one of those; the ledger's address is, with a password in it."""
    return name in SECRETS or (name == "LEDGER_URL" and bool(passwords_in(value)))


class Draft:
    """What the variables are to be. given: what they are now, from wherever."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._values = {name: SecretStr(value) for name, value in given.items()}
        self._given = dict(self._values)
        self._answered: list[str] = []

    def get(self, name: str) -> str:
        """The value of a variable: the answer, or what it was; empty where it is not set."""
        value = self._values.get(name)
        return "" if value is None else value.get_secret_value()

    def setting(self, name: str) -> str:
        """The same, or the default of the bot."""
        default = Settings.model_fields[name.lower()].default
        return self.get(name) or str(
            default.get_secret_value() if isinstance(default, SecretStr) else default
        )

    def set(self, name: str, value: str) -> None:
        """Take an answer; blanks around it were not meant. An empty one means not set."""
        self._values[name] = SecretStr(value.strip())

    def take_back(self, name: str) -> None:
        """It is again what it was at first: the answer was a slip."""
        self._values[name] = self._given.get(name, SecretStr(""))

    def answered(self, names: Iterable[str]) -> None:
        """These were tried and are good, as they are."""
        self._answered += names

    def check(self, *names: str) -> None:
        """Whether these can be what they are, each by itself. Raises ConfigError."""
        problems = [config.problem_of(name, self.get(name)) for name in names if self.get(name)]
        if found := [problem for problem in problems if problem is not None]:
            raise ConfigError(*found)

    def to_write(self, in_file: Mapping[str, str]) -> dict[str, str]:
        """The answers, in the order of their questions, that the file must be given. in_file: what it has."""
        wanted = {name: self.get(name) for name in self._answered}
        return {name: value for name, value in wanted.items() if in_file.get(name, "") != value}

    def all(self) -> dict[str, str]:
        """Everything that is set, with its value: only for `config`, never to be shown."""
        return {name: self.get(name) for name in self._values if self.get(name)}

    def secrets(self) -> list[str]:
        """The values that are never shown, and the passwords in the ledger's address, alone."""
        values = [self.get(name) for name in self._values if is_secret(name, self.get(name))]
        return [*filter(None, values), *passwords_in(self.get("LEDGER_URL"))]
