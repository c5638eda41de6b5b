"""`python -m bot pause` and `resume`: the kill switch of whoever runs the bot."""

from __future__ import annotations

from bot.domain.payment import InvoiceRef, State
from bot.ledger.opening import open_ledger
from tests.command_line import invoke
from tests.ledger.making import request_in, trail


async def test_sending_is_paused_and_resumed_and_what_comes_too_late_is_told(
    environment: dict[str, str],
) -> None:
    """It is in the trail with who did it, and the ledger is still whole."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        for number in (1, 2):
            await request_in(ledger, State.SENDING, InvoiceRef("vps", number))
        first = await invoke("pause", "odd answers", **environment)
        late = "2 payments are being sent already, and may still be paid.\n"
        assert (first.code, first.out) == (0, f"Sending is paused.\n{late}"), first
        again = await invoke("pause", **environment)
        assert (again.code, again.out) == (0, f"Sending was paused before.\n{late}")
        pause = await ledger.paused()
        assert pause is not None
        assert (pause.reason, pause.by.startswith("operator")) == ("odd answers", True)
        for told in ("Sending goes on.\n", "Sending was not paused.\n"):
            resumed = await invoke("resume", **environment)
            assert (resumed.code, resumed.out) == (0, told)
        assert await ledger.paused() is None
        assert [one.action for one in (await trail(ledger))[-2:]] == ["paused", "resumed"]
        assert (await ledger.verify()).whole
