"""The pages for operators: alive, ready, and figures that every instance tells alike."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.domain.events import NoCard, NotTold
from bot.domain.payment import InvoiceRef, State
from bot.errors import ConfigError
from bot.ledger.opening import open_ledger
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.metrics import BILLING_ANSWERED
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.status import SCHEDULED, status_server
from tests.fixture_types import Clock, NewDatabase, StartBot
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import claimed, request_in
from tests.ledger.making import request as a_request
from tests.ports import fetched, free_port
from tests.slack.acting import request

Page = Callable[[str], Awaitable[tuple[int, str]]]


READY = (200, "ready")


async def readiness(port: int) -> tuple[int, str]:
    """Its status and first line; the second tells of the billing API."""
    status, text = await fetched(port, "/readyz")
    return status, text.splitlines()[0]


@pytest.fixture
async def page(ledger: Ledger) -> AsyncIterator[Page]:
    """Fetches a page of a status server over an empty ledger."""
    port = free_port()
    async with status_server(ledger, "127.0.0.1", port):
        yield lambda path: fetched(port, path)


def figures(text: str) -> dict[str, float]:
    """The metrics by name and state."""
    return {
        f"{sample.name} {sample.labels.get('state', '')}".strip(): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_bot_that_runs_is_alive_and_ready(page: Page) -> None:
    """Two pages, in plain text."""
    assert await page("/healthz") == (200, "ok\n")
    status, text = await page("/readyz")
    assert (status, text.splitlines()[0]) == READY
    assert (await page("/elsewhere"))[0] == 404


async def test_every_state_has_its_figure(page: Page, ledger: Ledger) -> None:
    """Also the states in which nothing is, so that a graph has no holes."""
    for number, state in enumerate([State.PAID, State.PAID, State.UNKNOWN], start=1):
        await request_in(ledger, state, InvoiceRef("vps", number))
    status, text = await page("/metrics")
    found = figures(text)
    assert status == 200
    assert {name for name in found if name.startswith("payments ")} == {
        *(f"payments {state}" for state in State),
        f"payments {SCHEDULED}",
    }
    assert found["payments PAID"] == 2
    assert found["payments UNKNOWN"] == 1
    assert found["payments EXPIRED"] == 0
    assert found["undelivered_messages"] == await ledger.undelivered() == 9


async def test_what_waits_for_its_day_does_not_stand_still(page: Page, ledger: Ledger, clock: Clock) -> None:
    """An alert calls what is approved and not sent stuck; on the morning of its day it is one of those."""
    await request_in(ledger, State.APPROVED, InvoiceRef("vps", 1), not_before=clock.now + timedelta(days=9))
    await request_in(ledger, State.APPROVED, InvoiceRef("vps", 2), not_before=clock.now - timedelta(days=1))
    await request_in(ledger, State.APPROVED, InvoiceRef("vps", 3))
    found = figures((await page("/metrics"))[1])
    assert (found["payments APPROVED"], found["payments SCHEDULED"]) == (2, 1)
    clock.now += timedelta(days=9)
    found = figures((await page("/metrics"))[1])
    assert (found["payments APPROVED"], found["payments SCHEDULED"]) == (3, 0)


async def test_how_long_people_and_messages_wait(page: Page, ledger: Ledger, clock: Clock) -> None:
    """Slack is away for long: what is tried again every few minutes has waited since it was to be told."""
    waiting = await a_request(ledger, moved_to=State.PENDING_APPROVAL)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(waiting.request, Kind.DIRECT)
    for _ in range(3):
        (tried,) = await claimed(ledger)
        async with ledger.transaction() as transaction:
            due_at = transaction.now + timedelta(minutes=5)
            await transaction.outbox.retry_at(tried, due_at=due_at, ambiguous=False)
        clock.now += timedelta(minutes=5)
    clock.now -= timedelta(minutes=1)
    found = figures((await page("/metrics"))[1])
    assert (found["pending_oldest_seconds"], found["unknown_oldest_seconds"]) == (14 * 60, 0)
    assert found["delivery_lag_seconds"] == 14 * 60


async def test_what_was_given_up_is_counted(page: Page, ledger: Ledger) -> None:
    """Whoever watches the figures sees that somebody was not told."""
    assert figures((await page("/metrics"))[1])["given_up_messages"] == 0
    payment = await request_in(ledger, State.PAID)
    async with ledger.transaction() as transaction:
        await transaction.record(NotTold("card", "C1", "fatal_error"), actor="announcer", payment=payment)
        await transaction.record(NoCard("no card", "is_archived", "C1"), actor="announcer", payment=payment)
    assert figures((await page("/metrics"))[1])["given_up_messages"] == 1


async def test_figures_tell_nobodys_business(page: Page, ledger: Ledger) -> None:
    """Whoever may read them learns neither people nor invoices nor amounts."""
    await request_in(ledger, State.PAID, InvoiceRef("quickservers", 2_147_483_646), note="secret")
    _, text = await page("/metrics")
    for word in ("quickservers", "2147483646", "U1", "C1", "secret"):
        assert word not in text


async def test_without_its_ledger_it_is_alive_but_not_ready(new_postgresql: NewDatabase) -> None:
    """So that nobody restarts it for that: it mends itself when the database is back."""
    url, port = new_postgresql(migrated=True), free_port()
    name = url.split("/")[3].split("?")[0]
    async with open_ledger(url) as ledger, status_server(ledger, "127.0.0.1", port):
        with psycopg.connect(url.replace(name, "postgres"), autocommit=True) as server:
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            assert await fetched(port, "/healthz") == (200, "ok\n")
            for path in ("/readyz", "/metrics"):
                assert await fetched(port, path) == (503, "the ledger does not answer\n")
            server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        assert await readiness(port) == READY


async def test_figures_are_told_of_a_ledger_that_was_forged(new_sqlite: NewDatabase) -> None:
    """Whoever watches it would look for a process that died; what cannot be told says why."""
    url, port = new_sqlite(migrated=True), free_port()
    async with open_ledger(url) as ledger, status_server(ledger, "127.0.0.1", port):
        await request_in(ledger, State.PAID)
        await request_in(ledger, State.UNKNOWN, InvoiceRef("vps", 2))
        async with past_the_ledger(url) as engine:
            await forge(engine, "UPDATE payments SET state = 'NOWHERE' WHERE id = 1")
            status, text = await fetched(port, "/metrics")
            assert (status, figures(text)["payments UNKNOWN"]) == (200, 1)
            await forge(engine, "UPDATE chain SET last_event = 1")
        status, text = await fetched(port, "/metrics")
        assert (status, "run `python -m bot audit verify`" in text) == (503, True)


async def test_a_port_that_is_taken_is_refused(ledger: Ledger) -> None:
    """With the variable's name and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            async with status_server(ledger, "127.0.0.1", port):
                pass
    assert [problem.where for problem in caught.value.problems] == ["STATUS_PORT"]
    assert "in use" in str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "there-is-none.invalid", "[::1]", "fe80::1"])
async def test_a_host_that_is_not_this_machine_is_told_as_such(ledger: Ledger, host: str) -> None:
    """Whichever port was to be opened there: another port would not do either."""
    with pytest.raises(ConfigError) as caught:
        async with status_server(ledger, host, free_port()):
            pass
    (problem,) = caught.value.problems
    assert problem.where == "HTTP_HOST"
    assert problem.what.startswith(f"{host} is no address of this machine")


async def test_the_bot_serves_them_where_it_is_told_to(slack: LocalSlack, start_bot: StartBot) -> None:
    """STATUS_PORT turns them on."""
    port = free_port()
    await start_bot(STATUS_PORT=str(port))
    assert await readiness(port) == READY


async def test_it_says_since_when_the_billing_api_is_silent(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """And stays ready: what people ask for is kept until it is back."""
    BILLING_ANSWERED.set(0)
    port = free_port()
    billing.fail("unreadable", operation="get_modules")
    bot = await start_bot(STATUS_PORT=str(port))
    assert (await fetched(port, "/readyz"))[1] == "ready\nThe billing API has not answered yet.\n"
    await request(slack, bot)
    status, text = await fetched(port, "/readyz")
    assert status == 200
    assert re.fullmatch(r"ready\nThe billing API last answered \d s ago\.\n", text)


async def test_what_waits_long_is_told_with_its_age(ledger: Ledger, page: Page, clock: Clock) -> None:
    """0 where nothing waits; otherwise seconds."""
    await request_in(ledger, State.UNKNOWN)
    await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", 10102))
    clock.advance(hours=2)
    told = figures((await page("/metrics"))[1])
    assert (told["unknown_oldest_seconds"], told["pending_oldest_seconds"]) == (7200, 7200)
    assert told["paused"] == 0
    async with ledger.transaction() as transaction:
        await transaction.pause("", actor="U1")
    assert figures((await page("/metrics"))[1])["paused"] == 1


async def test_the_process_counts_what_it_sees(slack: LocalSlack, start_bot: StartBot) -> None:
    """Commands, refusals, answers of Slack and how long it waits, calls of the billing API, connections."""
    port = free_port()
    await start_bot(STATUS_PORT=str(port))
    before = (await fetched(port, "/metrics"))[1]
    for person in ("alice", "mallory"):
        await slack.person(person).types("#payments", "/pay vps 10101")
    await slack.wait_for(lambda: "Successful" in str(slack.messages("#payments")))
    after = (await fetched(port, "/metrics"))[1]

    def grown(name: str, **labels: str) -> float:
        values = [
            sum(
                sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )
            for text in (before, after)
        ]
        return values[1] - values[0]

    assert grown("commands_total", command="Request") == 2
    assert grown("refusals_total", reason="person_not_allowed") == 1
    assert grown("acknowledgement_seconds_count", kind="command") == 2
    assert grown("billing_call_seconds_count", call="make_payment") == 1
    assert grown("slack_calls_total", method="chat.postMessage", answer="ok") >= 2
    assert "slack_connections 1.0" in after


async def test_it_is_not_ready_while_slack_is_not_connected(ledger: Ledger) -> None:
    """No command arrives then."""
    port = free_port()
    async with status_server(ledger, "127.0.0.1", port, lambda: False):
        assert await fetched(port, "/readyz") == (503, "Slack is not connected\n")
