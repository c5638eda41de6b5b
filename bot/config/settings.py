"""Settings: the environment, validated once at start.

`.env` is read with python-dotenv; the real environment wins. Everything that is wrong is listed at
once, each with the variable's name and the remedy, and no value is ever echoed: a token pasted into the
wrong variable must not end up in a log.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from bot.config import policy_file
from bot.domain.duration import parse_duration
from bot.domain.policy import Policy, PolicyError
from bot.domain.policy.rule import DEFAULT_EXPIRY
from bot.domain.slack_ids import channel_flaw, principal_flaw
from bot.errors import ConfigError

Flaw = Callable[[str], tuple[str, str] | None]


def _split(flaw: Flaw) -> BeforeValidator:
    """Ids separated by commas; the flaws of wrong ones are said once each, without the ids."""

    def split(value: object) -> object:
        if not isinstance(value, str):
            return value
        ids = [part.strip() for part in value.split(",") if part.strip()]
        if not ids:
            # Of channels, none would mean all.
            raise ValueError("names nothing; write ids with commas between them, or leave it empty")
        flaws = dict.fromkeys(found for one in ids if (found := flaw(one)) is not None)
        if flaws:
            raise ValueError(" ".join(f"{wrong}. {remedy}" for wrong, remedy in flaws))
        return frozenset(ids)

    return BeforeValidator(split)


def _channel(value: str) -> str:
    if (found := channel_flaw(value)) is not None:
        raise ValueError(". ".join(found))
    return value


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _token(prefix: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        secret = value.get_secret_value()
        if not re.fullmatch(re.escape(prefix) + r"[A-Za-z0-9-]+", secret, re.ASCII):
            raise ValueError(f"must be the token that begins with {prefix}, and nothing else")
        return value

    return AfterValidator(check)


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        readable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        local = readable = False
        parts = urlsplit("")
    if not readable or parts.scheme not in ("http", "https"):
        raise ValueError("must be a web address that begins with https://")
    if parts.scheme != "https" and not local:
        raise ValueError("must begin with https:// (http only on this machine): secrets travel there")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password; use the variables for them")
    return value


def _ledger_address(value: str) -> str:
    kind, _, place = value.partition("://")
    # What is kept in memory only (:memory:, or a query that says so) is no record of payments.
    if kind == "sqlite" and re.fullmatch(r"/[^?]+", place) and ":memory:" not in place:
        return value
    if kind in ("postgresql", "postgres") and _names_a_server(value):
        return f"postgresql://{place}"
    raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def _names_a_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        # A server on this machine may be named by the folder of its socket: ?host=/var/run/postgresql
        return parts.port != 0 and bool(parts.hostname or parse_qs(parts.query).get("host"))
    except ValueError:
        # Its text may hold the part of the address where the password stands.
        return False


def _secret_ledger_address(value: object) -> object:
    return SecretStr(_ledger_address(value)) if isinstance(value, str) else value


Principals = Annotated[frozenset[str], _split(principal_flaw)]
Channels = Annotated[frozenset[str], _split(channel_flaw)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=1, le=65535)]


class PolicySettings(BaseModel):
    """Who may pay what. Field names are the variables' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    pay_allowed_users: Principals = frozenset()
    pay_approvers: Principals = frozenset()
    pay_approvals_required: Annotated[int, Field(ge=0, le=20)] = 0
    pay_allowed_channels: Channels = frozenset()
    pay_approval_channel: Annotated[str, AfterValidator(_channel)] | None = None
    pay_expires_after: Annotated[timedelta, BeforeValidator(_duration)] = DEFAULT_EXPIRY
    pay_policy_file: Path | None = None


class LedgerSettings(BaseModel):
    """Where the record is kept; all that whoever audits it has to know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ledger_url: Annotated[SecretStr, BeforeValidator(_secret_ledger_address)] = SecretStr(
        "sqlite:///ledger.db"
    )


class Settings(PolicySettings, LedgerSettings):
    """Everything the bot is told from outside."""

    slack_bot_token: Annotated[SecretStr, _token("xoxb-")]
    slack_app_token: Annotated[SecretStr, _token("xapp-")] | None = None
    slack_signing_secret: SecretStr | None = None
    http_host: str = "127.0.0.1"
    http_port: Port = 3000
    slack_api_url: WebAddress = "https://slack.com/api/"
    billing_wsdl_url: WebAddress = "https://my.interserver.net/api.php?wsdl"
    billing_username: Annotated[str, Field(min_length=1)]
    billing_password: Annotated[SecretStr, Field(min_length=1)]
    billing_timeout: Annotated[float, Field(ge=1, le=600)] = 60
    billing_concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    status_port: Port | None = None

    @property
    def mode(self) -> Literal["socket", "http"]:
        """How Slack reaches the bot."""
        return "socket" if self.slack_app_token is not None else "http"


VARIABLES = tuple(name.upper() for name in Settings.model_fields)

_POLICY = tuple(name.upper() for name in PolicySettings.model_fields)
_SIMPLE_POLICY = tuple(name for name in _POLICY if name != "PAY_POLICY_FILE")

_REMEDIES = {
    "SLACK_BOT_TOKEN": "copy it from your Slack app's page, under OAuth & Permissions",
    "BILLING_USERNAME": "set it to the MyAdmin account's login name",
    "BILLING_PASSWORD": "set it to the MyAdmin account's password or API key",
}


def load(dotenv: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings. An empty variable counts as not set.

    dotenv: the .env file, `.env` in the working directory unless told otherwise; it need not exist.
    environment: the process's own unless told otherwise; it wins over the file.
    Raises ConfigError with every problem at once.
    """
    merged = _merged(dotenv, environment)
    given = {name: merged[name] for name in VARIABLES if name in merged}
    problems = _misspelt(merged)
    if "PAY_POLICY_FILE" in given and (both := [v for v in _SIMPLE_POLICY if v in given]):
        problems.append(("PAY_POLICY_FILE", f"holds the whole policy; remove {', '.join(both)} or this one"))
    if ("SLACK_APP_TOKEN" in given) == ("SLACK_SIGNING_SECRET" in given):
        problems.append(
            (
                "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
                "set exactly one: the app token (xapp-…) for Socket Mode, or the signing secret for HTTP",
            )
        )
    try:
        settings = Settings.model_validate({name.lower(): value for name, value in given.items()})
    except ValidationError as error:
        # The errors hold the input; only place, kind and our own words leave this function.
        found = [_problem(dict(one)) for one in error.errors(include_input=False, include_url=False)]
        raise ConfigError(problems + found + _policy_problems(given)) from None
    if problems:
        raise ConfigError(problems + _policy_problems(given))
    return settings


def load_ledger(dotenv: Path | None = None, environment: Mapping[str, str] | None = None) -> LedgerSettings:
    """Read only where the ledger is: an auditor needs no token and no password. As `load` otherwise."""
    given = _merged(dotenv, environment)
    try:
        return LedgerSettings.model_validate(
            {name.lower(): given[name] for name in ("LEDGER_URL",) if name in given}
        )
    except ValidationError as error:
        found = [_problem(dict(one)) for one in error.errors(include_input=False, include_url=False)]
        raise ConfigError(found) from None


def _merged(dotenv: Path | None, environment: Mapping[str, str] | None) -> dict[str, str]:
    """All that is set and not blank; the environment wins over the file."""
    path = dotenv if dotenv is not None else Path(".env")
    try:
        from_file = dotenv_values(path, interpolate=False) if path.is_file() else {}
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            [(".env", "cannot be read; check that it is a UTF-8 text file you may read")]
        ) from None
    merged = {**from_file, **(os.environ if environment is None else environment)}
    return {name: stripped for name, value in merged.items() if (stripped := (value or "").strip())}


def policy_of(settings: PolicySettings) -> Policy:
    """The policy that the settings give. Raises ConfigError."""
    file = settings.pay_policy_file
    try:
        if file is not None:
            return policy_file.load(_read(file), str(file))
        _demand_a_number(settings)
        return Policy.simple(
            allowed=settings.pay_allowed_users,
            approvers=settings.pay_approvers,
            approvals_required=settings.pay_approvals_required,
            channels=settings.pay_allowed_channels,
            approval_channel=settings.pay_approval_channel,
            expires_after=settings.pay_expires_after,
        )
    except PolicyError as error:
        if file is not None:
            raise ConfigError([("PAY_POLICY_FILE", problem) for problem in error.problems]) from None
        raise ConfigError([_named(problem) for problem in error.problems]) from None


def _demand_a_number(settings: PolicySettings) -> None:
    """Whoever says who approves, or where, and not how many must, means approvals and would get none."""
    said = [name for name in ("PAY_APPROVERS", "PAY_APPROVAL_CHANNEL") if getattr(settings, name.lower())]
    if said and "pay_approvals_required" not in settings.model_fields_set:
        raise ConfigError(
            [
                (
                    "PAY_APPROVALS_REQUIRED",
                    f"is not set, so nobody would have to approve in spite of {' and '.join(said)};"
                    " say how many must, for example 1 (or 0 for nobody)",
                )
            ]
        )


_KUBERNETES = re.compile(
    r"PAY_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)", re.ASCII
)
"""What it sets for a service whose name is pay, or begins with it."""


def _misspelt(names: Iterable[str]) -> list[tuple[str, str]]:
    """What was meant for the policy and is not read: a restriction that is misspelt restricts nothing."""
    problems = []
    for name in names:
        if not name.upper().startswith("PAY_") or name in _POLICY or _KUBERNETES.fullmatch(name):
            continue
        near = difflib.get_close_matches(name.upper(), _POLICY, n=1)
        remedy = f"did you mean {near[0]}?" if near else "remove it; .env.example has those that there are"
        problems.append((name, f"is no variable of this bot; {remedy}"))
    return problems


def _named(problem: str) -> tuple[str, str]:
    variable, _, rest = problem.partition(": ")
    return variable, rest


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            [("PAY_POLICY_FILE", "cannot be read; check that it is a UTF-8 text file you may read")]
        ) from None


def _policy_problems(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is wrong with the policy as a whole, to be told with the rest.

    Nothing where a variable of it is wrong by itself, which is told already.
    """
    if "PAY_POLICY_FILE" in given and any(name in given for name in _SIMPLE_POLICY):
        return []
    try:
        policy_of(
            PolicySettings.model_validate({name.lower(): given[name] for name in _POLICY if name in given})
        )
    except ValidationError:
        return []
    except ConfigError as error:
        return error.problems
    return []


def _problem(error: dict[str, Any]) -> tuple[str, str]:
    """Say one pydantic error as (variable, remedy), without the value."""
    name = str(error["loc"][0]).upper()
    kind = str(error["type"])
    context = error.get("ctx", {})
    if kind == "missing":
        return name, f"is not set; {_REMEDIES[name]}"
    if kind == "value_error":
        return name, str(context["error"])
    if kind in ("int_parsing", "int_type", "float_parsing", "float_type"):
        return name, "must be a number"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound, sign = next(iter(context.items()))[::-1]
        return name, f"must be {'at least' if sign == 'ge' else 'at most'} {bound:g}"
    return name, "is not usable; see .env.example"
