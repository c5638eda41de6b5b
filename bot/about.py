"""What the lines of a log are about: bound to each that is logged meanwhile, in whichever layer that is.

A task takes along what is bound when it is made, and so does what is done when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from structlog.contextvars import bound_contextvars

from bot.domain.batch import Batch
from bot.domain.payment import Payment, PaymentRequest

About = Callable[[Payment], AbstractContextManager[None]]
"""Binds what is worked on for as long as its block lasts."""


def about_payment(payment: Payment) -> AbstractContextManager[None]:
    """One payment, and the request that it is a line of."""
    return bound_contextvars(
        request=payment.request.number,
        requester=payment.request.requester,
        payment=payment.number,
        line=payment.line,
        module=payment.ref.module,
        invoice=payment.ref.number,
    )


def about_request(request: PaymentRequest) -> AbstractContextManager[None]:
    """A request, with all of its payments."""
    return bound_contextvars(request=request.number, requester=request.requester)


def about_batch(batch: Batch) -> AbstractContextManager[None]:
    """A request; also its payment, where it has but one."""
    return about_request(batch.request) if batch.several else about_payment(batch.first)


def about_all(payment: Payment) -> AbstractContextManager[None]:
    """The same of the payment that stands for all of its request."""
    return about_payment(payment) if payment.request.size == 1 else about_request(payment.request)


def about_number(request_id: int) -> AbstractContextManager[None]:
    """A request of which no more is known yet."""
    return bound_contextvars(request=f"#{request_id}")


def done_by(person: str | None) -> AbstractContextManager[None]:
    """What somebody does. person: the Slack user id; None: nobody."""
    return nullcontext() if person is None else bound_contextvars(person=person)
