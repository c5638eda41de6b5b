"""Events are types, and their stored form never changes: it is hashed, and ledgers are out there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import events
from bot.domain.events import Unrecognized, decode, encode

RELEASED = Path(__file__).parents[1] / "ledger" / "released_0002.jsonl"


def released() -> list[dict[str, Any]]:
    """The events of a ledger that the first release left."""
    rows = (json.loads(line) for line in RELEASED.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["table"] == "events"]


class TestStoredForm:
    @pytest.mark.parametrize("row", released(), ids=lambda row: f"{row['id']}-{row['action']}")
    def test_what_was_released_is_read_and_written_byte_for_byte(self, row: dict[str, Any]) -> None:
        """Every chain that is out there still verifies, and its events are understood."""
        event = decode(row["action"], row["detail"])
        assert not isinstance(event, Unrecognized)
        assert (event.action, encode(event)) == (row["action"], row["detail"])

    @pytest.mark.parametrize("known", get_args(events.KnownEvent), ids=lambda known: known.action)
    @given(data=st.data())
    def test_every_event_comes_back_as_it_was(self, known: type[Any], data: st.DataObject) -> None:
        """Whatever stands in its fields, also nothing."""
        event = data.draw(st.from_type(known))
        assert decode(known.action, encode(event)) == event

    def test_an_event_as_it_is_written_today(self) -> None:
        """The names, their order, and what is left out."""
        assert encode(events.Sending("one", 2)) == '{"instance": "one", "try": 2}'
        assert encode(events.Cancelled("café")) == '{"reason": "café"}'
        told = events.LookedUp(True, None, None, 1, description=None, due_date=None, rule="default")
        assert encode(told) == (
            '{"amount": null, "approvals_required": 1, "currency": null, "description": null, '
            '"due_date": null, "listed": true, "rule": "default"}'
        )

    def test_what_is_for_no_day_is_written_as_before_there_were_any(self) -> None:
        """Two instances of which one is older write the same; a day is told where there is one."""
        told = events.Requested("C1", "vps 1", None, "default")
        assert "pay_on" not in encode(told)
        assert '"pay_on": "due"' in encode(replace(told, pay_on="due"))
        looked_up = events.LookedUp(True, "1.00", "USD", 1)
        assert "not_before" not in encode(looked_up)
        day = "2026-12-05 08:00:00.000000"
        assert f'"not_before": "{day}"' in encode(replace(looked_up, not_before=day))

    def test_every_action_is_named_once(self) -> None:
        actions = [known.action for known in get_args(events.KnownEvent)]
        assert len(set(actions)) == len(actions)


class TestUnrecognized:
    @pytest.mark.parametrize(
        ("action", "detail"),
        [
            ("postponed", '{"by": "U1"}'),
            ("approved", "[]"),
            ("approved", "5"),
            ("approved", "null"),
            ("approved", ""),
            ("approved", '{"given": 1}'),
            ("approved", '{"given": "1", "required": 2}'),
            ("approved", '{"given": true, "required": 2}'),
            ("approved", '{"given": 1.0, "required": 2}'),
            ("denied", '{"reason": null}'),
            ("expired", "[" * 50_000),
        ],
    )
    def test_what_cannot_be_read_is_kept_as_it_is(self, action: str, detail: str) -> None:
        """It was written by a later version, or by somebody past the bot; nothing is made of it."""
        assert decode(action, detail) == Unrecognized(action, detail)
        assert events.encode(Unrecognized(action, detail)) == detail

    def test_a_field_that_a_later_version_added_is_left_out(self) -> None:
        """A roll-back still tells what it knows."""
        assert decode("denied", '{"reason": "no", "mood": "bad"}') == events.Denied("no")
