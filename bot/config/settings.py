"""Settings: the environment, validated once at start.

`.env` is read with python-dotenv; the real environment wins. Everything that is wrong is listed at
once, each with the variable's name and the remedy, and no value is ever echoed: a token pasted into the
wrong variable must not end up in a log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError

from bot.config import policy_file
from bot.config.digest_line import DigestLine
from bot.config.dotenv_file import unreadable, variables_in
from bot.config.names import ledger_misspelt, misspelt, unread
from bot.config.rule_table import FOR_APPROVERS, rule_of
from bot.config.values import (
    WRONG,
    Duration,
    LedgerAddress,
    WebAddress,
    fitting,
    is_host,
    number,
    token,
    wrong,
)
from bot.config.written_ids import Channel, Principal
from bot.domain.policy import Policy, PolicyError
from bot.domain.policy.rule import DEFAULT_EXPIRY
from bot.domain.problem import Problem
from bot.errors import ConfigError


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    ids = [part.strip() for part in value.split(",") if part.strip()]
    if not ids:
        # Of channels, none would mean all.
        raise wrong("names nothing", "Write ids with commas between them, or leave it empty.")
    return ids


_Split = BeforeValidator(_split)
_Port = Annotated[int, number(1, 65535)]
_Host = Annotated[
    str,
    fitting(is_host, "must be an address of this machine", "Write 127.0.0.1, or 0.0.0.0 for all."),
]


class _Settings(BaseModel):
    """Field names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PolicySettings(_Settings):
    """Who may pay what."""

    pay_allowed_users: Annotated[frozenset[Principal], _Split] = frozenset()
    pay_approvers: Annotated[frozenset[Principal], _Split] = frozenset()
    pay_approvals_required: Annotated[int, number(0, 20)] = 0
    pay_allowed_channels: Annotated[frozenset[Channel], _Split] = frozenset()
    pay_approval_channel: Channel | None = None
    pay_expires_after: Duration = DEFAULT_EXPIRY
    pay_policy_file: Path | None = None


RULE_KEYS = {
    "PAY_ALLOWED_USERS": "requesters",
    "PAY_APPROVERS": "approvers",
    "PAY_APPROVALS_REQUIRED": "approvals",
    "PAY_ALLOWED_CHANNELS": "channels",
    "PAY_APPROVAL_CHANNEL": "approval_channel",
    "PAY_EXPIRES_AFTER": "expires_after",
}
"""The one rule that the variables make: each is one of its keys, as a policy file calls it."""

SIMPLE_RULE = "default"
"""That rule's name."""


class LedgerSettings(_Settings):
    """Where the record is kept; all that whoever audits it has to know."""

    ledger_url: LedgerAddress = SecretStr("sqlite:///ledger.db")


class Settings(PolicySettings, LedgerSettings):
    """Everything the bot is told from outside."""

    slack_bot_token: Annotated[SecretStr, token("xoxb-")]
    slack_app_token: Annotated[SecretStr, token("xapp-")] | None = None
    slack_signing_secret: SecretStr | None = None
    http_host: _Host = "127.0.0.1"
    http_port: _Port = 3000
    slack_api_url: WebAddress = "https://slack.com/api/"
    billing_wsdl_url: WebAddress = "https://my.interserver.net/api.php?wsdl"
    billing_username: str
    billing_password: SecretStr
    billing_timeout: Annotated[float, number(1, 600, "number of seconds")] = 60
    billing_concurrency: Annotated[int, number(1, 64)] = 8
    status_port: _Port | None = None
    pay_digest: DigestLine | None = None
    pay_operators_channel: Channel | None = None
    pay_audit_channel: Channel | None = None

    @property
    def mode(self) -> Literal["socket", "http"]:
        """How Slack reaches the bot."""
        return "socket" if self.slack_app_token is not None else "http"


VARIABLES = tuple(name.upper() for name in Settings.model_fields)

DOTENV = Path(".env")
"""Where variables are read from beside the environment, unless another file is named."""

_MISSING = {
    "SLACK_BOT_TOKEN": "Copy it from your Slack app's page, under OAuth & Permissions.",
    "BILLING_USERNAME": "Set it to the MyAdmin account's login name.",
    "BILLING_PASSWORD": "Set it to the MyAdmin account's password or API key.",
}


def load(dotenv: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings. An empty variable counts as not set.

    dotenv: the .env file, `.env` in the working directory unless told otherwise; it need not exist.
    environment: the process's own unless told otherwise; it wins over the file.
    Raises ConfigError with every problem at once.
    """
    given = given_in(dotenv, environment)
    settings, problems = _check(Settings, given)
    misspelling = [*misspelt(given, VARIABLES), *ledger_misspelt(given)]
    problems = [*misspelling, *_contradictions(given), *problems]
    if settings is None or problems:
        raise ConfigError(*problems, *policy_problems(given))
    return settings


def load_ledger(dotenv: Path | None = None, environment: Mapping[str, str] | None = None) -> LedgerSettings:
    """Read only where the ledger is: an auditor needs no token and no password. As `load` otherwise."""
    given = given_in(dotenv, environment)
    settings, problems = _check(LedgerSettings, given)
    problems = [*ledger_misspelt(given), *problems]
    if settings is None or problems:
        raise ConfigError(*problems)
    return settings


def problem_of(name: str, value: str) -> Problem | None:
    """What is wrong with the value of one variable, by itself."""
    _, problems = _check(Settings, {name: value})
    return next((problem for problem in problems if problem.where == name), None)


def names_not_read(
    dotenv: Path | None = None, environment: Mapping[str, str] | None = None
) -> list[tuple[Problem, bool]]:
    """Variables beside the policy's that look like the bot's and are none; whether they were meant for it.

    Parameters as for `load`. Raises ConfigError.
    """
    return list(unread(given_in(dotenv, environment), VARIABLES))


def policy_of(settings: PolicySettings) -> Policy:
    """The policy that the settings give. Raises ConfigError."""
    if settings.pay_policy_file is not None:
        path = settings.pay_policy_file
        return policy_file.load(_read(path, "PAY_POLICY_FILE"), f"PAY_POLICY_FILE: {path}")
    _demand_a_number(settings)
    values = {key: getattr(settings, variable.lower()) for variable, key in RULE_KEYS.items()}
    rule = rule_of({key: value for key, value in values.items() if value}, SIMPLE_RULE)
    try:
        return Policy((rule,))
    except PolicyError as refused:
        variables = {key: variable for variable, key in RULE_KEYS.items()}
        (problems,) = refused.problems
        raise ConfigError(*(replace(one, where=variables[one.where]) for one in problems)) from None


def given_in(dotenv: Path | None = None, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that is set and not blank, as it is written. Parameters as for `load`. Raises ConfigError."""
    path = dotenv if dotenv is not None else DOTENV
    return _not_blank(variables_in(path, VARIABLES)) | _not_blank(
        os.environ if environment is None else environment
    )


def _not_blank(variables: Mapping[str, str]) -> dict[str, str]:
    """What is blank is not set: in the environment it lifts no restriction that stands in the file."""
    return {name: stripped for name, value in variables.items() if (stripped := value.strip())}


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise unreadable(variable) from None


_SURROGATE = re.compile("[\ud800-\udfff]")

_Some = TypeVar("_Some", bound=_Settings)


def _check(model: type[_Some], given: Mapping[str, str]) -> tuple[_Some | None, list[Problem]]:
    """The settings of this kind, or everything that is wrong with one of them by itself."""
    names = [name for name in model.model_fields if name.upper() in given]
    # The environment may hold any bytes, and Python hands on what is no text as lone surrogates.
    if no_text := [name for name in names if _SURROGATE.search(given[name.upper()])]:
        return None, [Problem(name.upper(), "is not UTF-8 text", "Set it again.") for name in no_text]
    try:
        return model.model_validate({name: given[name.upper()] for name in names}), []
    except ValidationError as error:
        # The errors hold the input; only place and our own words leave this function.
        errors = error.errors(include_input=False, include_url=False)
    problems = []
    for one in errors:
        variable = str(one["loc"][0]).upper()
        if one["type"] == "missing":
            problems.append(Problem(variable, "is not set", _MISSING[variable]))
        else:
            assert one["type"] == WRONG, f"bug: no words for {one['type']}"
            problems.append(Problem(variable, **one["ctx"]))
    # Two wrong ids of one kind give the same sentence, for the value is not in it: say it once.
    return None, list(dict.fromkeys(problems))


def _beside_the_file(given: Mapping[str, str]) -> list[str]:
    """The variables of the policy that are set although a file holds all of it."""
    return [name for name in RULE_KEYS if name in given] if "PAY_POLICY_FILE" in given else []


def _contradictions(given: Mapping[str, str]) -> Iterator[Problem]:
    if others := _beside_the_file(given):
        remedy = f"Remove {', '.join(others)} or this one."
        yield Problem("PAY_POLICY_FILE", "holds the whole policy", remedy)
    if ("SLACK_APP_TOKEN" in given) == ("SLACK_SIGNING_SECRET" in given):
        yield Problem(
            "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
            "set exactly one",
            "The app token (xapp-…) is for Socket Mode, the signing secret for HTTP.",
        )
    http_port = given.get("HTTP_PORT", str(Settings.model_fields["http_port"].default))
    if "SLACK_SIGNING_SECRET" in given and given.get("STATUS_PORT") == http_port:
        yield Problem(
            "STATUS_PORT", "is the port where Slack reaches the bot", "Choose another, such as 8080."
        )


def _demand_a_number(settings: PolicySettings) -> None:
    """Whoever says who approves, or where, and not how many must, means approvals and would get none."""
    meant = [
        name for name, key in RULE_KEYS.items() if key in FOR_APPROVERS and getattr(settings, name.lower())
    ]
    if meant and "pay_approvals_required" not in settings.model_fields_set:
        raise ConfigError(
            Problem(
                "PAY_APPROVALS_REQUIRED",
                f"is not set, so nobody would have to approve in spite of {' and '.join(meant)}",
                "Say how many must, for example 1 (or 0 for nobody).",
            )
        )


def policy_problems(given: Mapping[str, str]) -> Sequence[Problem]:
    """What is wrong with the policy as a whole, to be told with the rest. given: as by `given_in`.

    Nothing where a variable of it is wrong by itself, which is told already.
    """
    settings, _ = _check(PolicySettings, given)
    if settings is None or _beside_the_file(given):
        return ()
    try:
        policy_of(settings)
    except ConfigError as error:
        return error.problems
    return ()
