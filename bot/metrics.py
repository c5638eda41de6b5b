"""What this process has seen, for Prometheus: counted where it happens, and told by `status`.

What the ledger knows is not counted here: every instance tells that alike.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PROCESS = CollectorRegistry()
"""The figures of this process."""

ACKNOWLEDGED = Histogram(
    "acknowledgement_seconds",
    "Until Slack was answered, which waits three seconds.",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 3.0),
    registry=PROCESS,
)
COMMANDS = Counter(
    "commands", "What was typed after /pay, by what it was read as.", ["command"], registry=PROCESS
)
REFUSALS = Counter(
    "refusals", "What people were refused, by the reason in the trail.", ["reason"], registry=PROCESS
)
BILLING_CALLS = Histogram(
    "billing_call_seconds",
    "Calls of the billing API, by what they are for.",
    ["call"],
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    registry=PROCESS,
)
BILLING_ANSWERED = Gauge(
    "billing_last_answer_timestamp_seconds",
    "When the billing API last gave this process an answer that it could use, in Unix time. 0: not yet.",
    registry=PROCESS,
)
SLACK_CALLS = Counter(
    "slack_calls",
    "Calls of Slack's Web API by method and answer: ok, refused, ratelimited or failed.",
    ["method", "answer"],
    registry=PROCESS,
)
CONNECTIONS = Gauge("slack_connections", "Open Socket Mode connections of this process.", registry=PROCESS)

KINDS = frozenset({"block_actions", "block_suggestion", "event_callback", "shortcut", "view_submission"})
"""What Slack sends beside commands; anything else is counted as other."""


@contextlib.contextmanager
def timed(histogram: Histogram, label: str) -> Iterator[None]:
    """Observe how long the block takes, however it ends."""
    begun = time.perf_counter()
    try:
        yield
    finally:
        histogram.labels(label).observe(time.perf_counter() - begun)
