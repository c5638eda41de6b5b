"""What nobody may read, and how it is looked for: whole, in every form in which it is sent, and in part."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack

BILLING_PASSWORD = 'Canary&Pass<"w0rd>/9é'
"""Written in another way by whatever sends it."""

DATABASE_PASSWORD = "pg/canary p@ss+1"

_BODIES = ("SOAP-ENV", "<?xml", "envelope_id", '"trigger_id"', "&trigger_id=", "response_url=")
"""What stands in envelopes and payloads and nowhere else."""

_PART = 12
"""Characters of a token that are enough of it: some shorten a text in its middle."""


class _Remembering(set[str]):
    """A set of what lives, and a list of what ever did."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: list[str] = []

    def add(self, one: str) -> None:
        self.ever.append(one)
        super().add(one)


@dataclass
class Secrets:
    """values: by name. sessions: at the billing API. addresses: of responses, and tickets for connections.

    The last two grow all the while.
    """

    values: dict[str, str]
    sessions: _Remembering = field(default_factory=_Remembering)
    addresses: list[str] = field(default_factory=list)

    def found_in(self, text: str, *, bodies: bool = True, addresses: bool = True) -> set[str]:
        """The names of what is there.

        bodies: whether parts of an envelope count. addresses: whether those of responses do.
        """
        found = {name for name, form in self._forms() if form in text}
        found |= {"session" for one in self.sessions.ever if one in text}
        found |= {"address" for one in self.addresses if addresses and one in text}
        return found | {part for part in _BODIES if bodies and part in text}

    def _forms(self) -> Iterator[tuple[str, str]]:
        for name, value in self.values.items():
            yield from ((name, form) for form in forms_of(value))
            if len(value) > 3 * _PART:
                yield from ((f"part of {name}", part) for part in (value[6 : 6 + _PART], value[-_PART:]))


def forms_of(value: str) -> set[str]:
    """As it is, and as HTML, addresses, forms and JSON have it."""
    coded = {
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
    }
    return {value, html.escape(value), html.escape(html.escape(value)), *coded}


def secrets_of(slack: LocalSlack, billing: LocalBilling, others: Iterable[tuple[str, str]] = ()) -> Secrets:
    """What these two know, and the billing password that the account has from now on."""
    billing.password = BILLING_PASSWORD
    billing._service._credentials = (billing.username, BILLING_PASSWORD)
    found = Secrets(
        {
            "bot token": slack.bot_token,
            "app token": slack.app_token,
            "signing secret": slack.signing_secret,
            "billing password": BILLING_PASSWORD,
            **dict(others),
        }
    )
    billing._service._sessions = found.sessions
    return found
