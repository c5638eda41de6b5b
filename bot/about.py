"""What the lines of a log are about: bound to each that is logged meanwhile, in whichever layer that is.

A task takes along what is bound when it is made, and so does what is done when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version

from structlog.contextvars import bind_contextvars, bound_contextvars

from bot.domain.batch import Batch
from bot.domain.payment import Payment, PaymentRequest
from bot.domain.policy import Policy
from bot.domain.policy.words import fingerprint

About = Callable[[Payment], AbstractContextManager[None]]
"""Binds what is worked on for as long as its block lasts."""


def what_runs(policy: Policy) -> dict[str, str]:
    """Which release of the bot runs, and by which rules: whoever asks later which they were finds it so.

    `check` calls the same rules the same.
    """
    try:
        release = version("invoice-payment-bot")
    except PackageNotFoundError:
        release = "not installed"
    return {"release": release, "rules": fingerprint(policy)}


def _of_request(request: PaymentRequest) -> dict[str, object]:
    return {"request": request.number, "requester": request.requester}


def _of_payment(payment: Payment) -> dict[str, object]:
    return _of_request(payment.request) | {
        "payment": payment.number,
        "line": payment.line,
        "module": payment.ref.module,
        "invoice": payment.ref.number,
    }


def about_payment(payment: Payment) -> AbstractContextManager[None]:
    """One payment, and the request that it is a line of."""
    return bound_contextvars(**_of_payment(payment))


def about_all(payment: Payment) -> AbstractContextManager[None]:
    """The request of a payment that stands for all of it; also the payment, where there is no other."""
    alone = payment.request.size == 1
    return bound_contextvars(**(_of_payment(payment) if alone else _of_request(payment.request)))


def go_on_about(batch: Batch) -> None:
    """A request, and its payment where it has but one, for as long as this task lasts."""
    bind_contextvars(**(_of_request(batch.request) if batch.several else _of_payment(batch.first)))


def about_number(request_id: int) -> AbstractContextManager[None]:
    """A request of which no more is known yet."""
    return bound_contextvars(request=f"#{request_id}")


def done_by(person: str | None) -> AbstractContextManager[None]:
    """What somebody does. person: the Slack user id; None: nobody."""
    return nullcontext() if person is None else bound_contextvars(person=person)
