"""One value, made by one thread at a time and used by all: the WSDL, the session, the modules."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from bot.clocks import boottime
from bot.errors import BillingError, NeverSent

T = TypeVar("T")


class Shared(Generic[T]):
    """Holds what `make(deadline)` returned, until it is too old or dropped.

    Threads that need it while another makes it wait, and share its failure: ten callers log in once,
    and a wrong password is tried once, not ten times. The next caller after a failure tries again.
    """

    def __init__(self, make: Callable[[float], T]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._guard = threading.Lock()
        self._held: tuple[T, float] | None = None
        self._failed: tuple[BillingError, float] | None = None

    def get(self, deadline: float, *, max_age: float = float("inf")) -> T:
        """The value, proven at most `max_age` seconds ago; made now if there is none such.

        deadline: on the clock of `time.monotonic`. Raises `NeverSent` if another thread is still at it
        by then, and the `BillingError` of a failed attempt.
        """
        asked = time.monotonic()
        held = self._young(max_age)
        if held is not None:
            return held[0]
        if not self._making.acquire(timeout=max(0.0, deadline - asked)):
            raise NeverSent("another call was still preparing the billing API at the deadline")
        try:
            held = self._young(max_age)
            if held is not None:
                return held[0]
            if self._failed is not None and self._failed[1] >= asked:
                failure = self._failed[0]
                raise type(failure)(*failure.args)
            return self._made(deadline)
        finally:
            self._making.release()

    def proved(self, value: T) -> None:
        """`value` has just been seen to work: its age starts anew."""
        with self._guard:
            if self._held is not None and self._held[0] is value:
                self._held = (value, boottime())

    def drop(self, value: T) -> None:
        """`value` may not work any more. One that has replaced it meanwhile stays."""
        with self._guard:
            if self._held is not None and self._held[0] is value:
                self._held = None

    def _young(self, max_age: float) -> tuple[T, float] | None:
        with self._guard:
            if self._held is not None and boottime() - self._held[1] <= max_age:
                return self._held
            return None

    def _made(self, deadline: float) -> T:
        try:
            value = self._make(deadline)
        except BillingError as error:
            self._failed = (error, time.monotonic())
            raise
        with self._guard:
            self._held = (value, boottime())
        return value
