"""Faults in what the parts share: the clocks, what takes secrets out, and how the bot is put together."""

from __future__ import annotations

from tests.planted.breaks import Break

BREAKS = (
    Break(
        "boottime-is-a-clock-that-is-set",
        "clocks.py",
        'time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))',
        "time.time()",
        seen_by="faults:test_a_clock_that_is_set_releases_no_lost_answer_and_holds_up_no_work",
    ),
    Break(
        "what-was-never-seen-is-young",
        "clocks.py",
        "return key in self._begun and self.of(key) < than",
        "return self.of(key) < than",
        seen_by="payments:test_what_was_read_before_a_restart_is_read_again",
    ),
    Break(
        "known-secrets-are-logged",
        "redaction.py",
        "text = self._known.sub(REDACTED, text) if self._known else text",
        "text = str(text)",
        seen_by="test_logs:test_no_secret_of_the_settings_is_logged",
    ),
    Break(
        "what-has-the-shape-of-a-secret-is-logged",
        "redaction.py",
        "            text = shape.sub(REDACTED, text)\n",
        "            pass\n",
        seen_by="test_logs:test_what_has_the_shape_of_a_secret_is_redacted",
    ),
    Break(
        "a-logger-that-is-set-to-tell-all-does",
        "logs.py",
        "return record.levelno < _HELD.get(name, logging.NOTSET)",
        "return False",
        seen_by="test_logs:test_what_is_held_is_not_logged_whatever_its_logger_is_set_to",
        case="slack_bolt",
    ),
    Break(
        "pythons-last-words-tell-secrets",
        "logs.py",
        "    sys.excepthook = _crashed\n",
        "",
        seen_by="canaries:test_a_crash_tells_no_secret",
    ),
    Break(
        "a-kept-answer-serves-for-ever",
        "singleflight.py",
        "if (kept := self._kept.get(key)) is not None and self._clock() - kept[1] < self._keep_s:",
        "if (kept := self._kept.get(key)) is not None:",
        seen_by="slack:test_an_answer_serves_for_a_minute",
    ),
    Break(
        "nobody-holds-the-ledgers-file",
        "app.py",
        "        stack.enter_context(one_process(url))\n",
        "",
        seen_by="test_main:test_two_bots_do_not_share_a_file",
    ),
    Break(
        "the-bot-does-not-know-its-own-calls",
        "app.py",
        "sending=lambda: paying.pool.keys)",
        "sending=lambda: ())",
        seen_by="payments:test_the_running_bot_knows_its_own_calls",
    ),
    Break(
        "a-stopping-bot-does-not-wait-for-its-calls",
        "app.py",
        "CALLS * settings.billing_timeout + GRACE),",
        "0.0),",
        seen_by="test_main:test_a_payment_under_way_is_finished_before_it_stops",
    ),
)
