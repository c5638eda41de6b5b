"""`resolve`: the operator says what became of a payment whose answer was lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.config import Settings
from bot.domain.payment import InvoiceRef, State
from bot.operating.with_ledger import (
    PAYMENT,
    operator,
    settings_or_exit,
    with_ledger,
)
from bot.options import ENV_FILE

if TYPE_CHECKING:
    from bot.ledger.store import Ledger

LOOK_AGAIN_S = 1.0
"""How often it is looked for what others settle, in seconds, while a lost answer is waited for."""


@click.command()
@ENV_FILE
@click.argument("payment", type=PAYMENT)
@click.argument("outcome", type=click.Choice(["paid", "not-paid"]), metavar="OUTCOME")
@click.argument("note")
@click.option(
    "--invoice",
    metavar="'MODULE NUMBER'",
    help="Which of several payments of the request, for example 'vps 10102'.",
)
def resolve(env_file: Path | None, payment: int, outcome: str, note: str, invoice: str | None) -> None:
    """Settle a payment whose answer was lost.

    PAYMENT is its number, as on its card. OUTCOME is paid or not-paid, and NOTE says how you know; both go
    into the audit trail. Exit code 0: it is settled; 1: it is not, and why is said; 2: the ledger cannot be
    used.
    """
    if not note.strip():
        raise click.UsageError("the note must say how you know what became of it")
    if any("\ud800" <= char <= "\udfff" for char in note):
        raise click.UsageError("the note is not text in this terminal's encoding; write it anew")
    from bot.ledger.opening import open_ledger  # noqa: PLC0415

    settings = settings_or_exit(env_file)
    opening = open_ledger(settings.ledger_url.get_secret_value(), begin=False)
    paid, ref = outcome == "paid", _invoice(invoice) if invoice is not None else None
    sys.exit(with_ledger(opening, lambda ledger: _resolve(ledger, settings, payment, paid, note, ref)))


def _invoice(named: str) -> InvoiceRef:
    try:
        return InvoiceRef.read(named.strip())
    except ValueError:
        raise click.UsageError("name the invoice by its module and number, as in 'vps 10102'") from None


async def _resolve(
    ledger: Ledger, settings: Settings, request_id: int, paid: bool, note: str, ref: InvoiceRef | None
) -> int:
    from bot.payments import answers, settlement  # noqa: PLC0415
    from bot.payments.settling import Settling  # noqa: PLC0415
    from bot.payments.timing import Timing  # noqa: PLC0415

    actor = operator()
    settling = Settling(Timing().settled_after(settings.billing_timeout))

    async def settle(*, correcting: bool) -> answers.Answer:
        return await settlement.settle_by_hand(
            ledger,
            actor,
            request_id,
            paid=paid,
            note=note,
            settling=settling,
            ref=ref,
            correcting=correcting,
        )

    answer = await settle(correcting=True)
    if isinstance(answer, answers.TooEarly) and settling.only_here(answer.payment, ledger.clock()):
        # This process has only just begun to see it, and a clock that was set proves nothing.
        click.echo(f"Making sure by this machine's own clock, until {answer.until:%Y-%m-%d %H:%M:%S} UTC.")
        click.echo("Let this run until then. If you stop it, nothing is changed.")
        # What somebody settles meanwhile is not known to who said this before.
        settled_before = answer.payment.state is not State.UNKNOWN
        while isinstance(answer, answers.TooEarly):
            left = settling.left(answer.payment, ledger.clock()).total_seconds()
            await asyncio.sleep(min(max(left, 0.01), LOOK_AGAIN_S))
            answer = await settle(correcting=settled_before)
    match answer:
        case answers.Done(batch, line):
            payment = batch.of_line(line)
            click.echo(f"{payment.number} is {payment.state}. The thread is told by the running bot.")
            return 0
        case answers.TooEarly(payment, until):
            click.echo(f"The call for {payment.number} may still be carried out.", err=True)
            click.echo(f"Look again after {until:%Y-%m-%d %H:%M} UTC.", err=True)
        case answers.AlreadyDecided(batch):
            payment = batch.of_line(None) if ref is None else settlement.meant(batch, ref) or batch.first
            click.echo(f"{payment.number} is {payment.state}; only UNKNOWN ones can be settled,", err=True)
            click.echo("and what was settled on somebody's word or weak evidence corrected.", err=True)
        case answers.AlreadyRequested(payment):
            click.echo(f"{payment.ref} was requested again: {payment.number}, {payment.state}.", err=True)
            click.echo(f"Settle {payment.number} first.", err=True)
        case answers.WhichInvoice(batch):
            click.echo(f"{batch.number} has {len(batch.payments)} payments.", err=True)
            click.echo(f"Say which with --invoice, as in --invoice '{batch.first.ref}'.", err=True)
        case _:
            click.echo(f"There is no payment #{request_id}.", err=True)
    return 1
