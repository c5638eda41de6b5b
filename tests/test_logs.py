"""Logs: one line an event, and no secret in any, whoever logs it and at whatever level."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import pytest
import structlog
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from bot import logs
from bot.about import about_number
from bot.config import Settings
from bot.errors import ConfigError
from bot.payments.desk import Desk
from bot.payments.worker import TaskPool
from bot.redaction import Redaction
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.fixture_types import NewSettings, StartBot
from tests.slack.acting import approve, request
from tests.slack.receiving import until

log = structlog.get_logger()


@pytest.fixture
def told() -> Iterator[Callable[..., io.StringIO]]:
    """Sets logging up as the bot does; afterwards it is as it was."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in [*logs._HELD, ""]}

    def configure(settings: Settings, level: int = logging.DEBUG) -> io.StringIO:
        stream = io.StringIO()
        logs.configure(settings, stream=stream, level=level)
        return stream

    yield configure
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def secrets(settings: Settings) -> list[str]:
    """What must not be in any line; the tokens of the local Slack have the real shapes."""
    found = logs.secrets_of(settings)
    assert len(found) >= 4
    return found


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """The log, each line of which is one JSON object."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


HOSTILE = "a\x1b[2Jb\x07c\x7fd\x9b31me\x85f\u202eg\u2066h\u061ci\u200fj\u2028k\nl\rm\udcffn"
SEEN = (
    r"a\u001b[2Jb\u0007c\u007fd\u009b31me\u0085f\u202eg"
    r"\u2066h\u061ci\u200fj\u2028k\u000al\u000dm\udcffn"
)


class TestATerminalObeysNothingOfIt:
    @given(st.text(max_size=50))
    def test_nothing_that_a_terminal_obeys_is_left(self, text: str) -> None:
        """Control characters of both kinds, DEL, what turns the writing round, and breaks of a line."""
        shown = logs.printable(text)
        assert not re.search(
            "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown
        )
        shown.encode()
        assert logs.printable(shown) == shown

    def test_what_is_left_out_can_be_seen(self) -> None:
        """Each stands there as what it is; words and emoji stay as they are."""
        assert logs.printable(HOSTILE) == SEEN
        assert logs.printable("café ☕ 日本 👨‍👩‍👧") == "café ☕ 日本 👨‍👩‍👧"

    def test_a_log_elsewhere_holds_nothing_that_a_terminal_obeys_either(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """It is read on one in the end. Wherever it stands; and who parses it gets what was said."""
        stream = told(settings())
        log.warning("told", said=HOSTILE, within={HOSTILE: [HOSTILE]})
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("broken")
        written = stream.getvalue()
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", written
        )
        written.encode()
        first, second = lines(stream)
        assert (first["said"], first["within"]) == (HOSTILE, {HOSTILE: [HOSTILE]})
        assert HOSTILE in second["exception"]

    def test_a_password_in_the_query_of_the_ledgers_address_is_a_secret(self, settings: NewSettings) -> None:
        """As it is written there, and as it is meant; a server may echo either."""
        found = logs.secrets_of(
            settings(
                LEDGER_URL="postgresql://u@h/db?password=s3cret%2Fp+w&sslmode=require&sslpassword=t0psecret"
            )
        )
        assert {"s3cret%2Fp+w", "s3cret/p+w", "s3cret/p w", "t0psecret"} <= set(found)
        assert "require" not in found

    def test_a_log_on_a_terminal_cannot_be_used_to_write_on_it(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """What comes from outside, in a value, in an exception, or by another library's logger."""
        stream = Terminal()
        told(settings())
        logs.configure(settings(), stream=stream, level=logging.INFO)
        log.warning("told", said=HOSTILE)
        logging.getLogger("elsewhere").warning("told %s", HOSTILE)
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            log.exception("broken")
        written = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
        assert SEEN in written
        assert "Traceback" in written
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", written)
        fakes = [line for line in written.splitlines() if line.startswith("l")]
        assert len(fakes) == 1, "only a traceback has more than one line"


class TestWhatIsLogged:
    def test_an_event_is_one_line(self, settings: NewSettings, told: Callable[..., io.StringIO]) -> None:
        """With its time in UTC, its level, and what was said about it; line breaks do not make two lines."""
        stream = told(settings())
        log.info("paid", payment=42, evidence="first\nsecond", known=True, none=None, many=[1, "two"])
        (line,) = lines(stream)
        assert line.pop("timestamp").endswith("Z")
        assert line == {
            "event": "paid",
            "level": "info",
            "payment": 42,
            "evidence": "first\nsecond",
            "known": True,
            "none": None,
            "many": [1, "two"],
        }

    def test_other_libraries_log_in_the_same_way(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """The standard library's loggers end in the same stream and the same form."""
        stream = told(settings())
        logging.getLogger("somebody").warning("%d calls were still running", 3)
        (line,) = lines(stream)
        assert (line["event"], line["level"]) == ("3 calls were still running", "warning")

    @pytest.mark.parametrize(
        "name", ["zeep.transports", "zeep.wsdl.bindings", "slack_bolt", "urllib3.x", "zeep"]
    )
    def test_what_is_held_is_not_logged_whatever_its_logger_is_set_to(
        self, settings: NewSettings, told: Callable[..., io.StringIO], name: str
    ) -> None:
        """Bolt sets its own, and anybody may make one more below it."""
        stream = told(settings())
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(logging.DEBUG)
        logger.info("a whole body")
        logger.warning("a word")
        logger.setLevel(before)
        assert [line["event"] for line in lines(stream)] == ["a word"]

    def test_less_than_the_level_is_not_logged(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """By default that is INFO."""
        stream = told(settings(), logging.INFO)
        log.debug("hidden")
        logging.getLogger("somebody").debug("hidden")
        log.info("shown")
        assert [line["event"] for line in lines(stream)] == ["shown"]


PASSWORD = 'it\'s "q"/\u00fc&<b \\ \u20ac'
HTML = PASSWORD.replace("&", "&amp;").replace("<", "&lt;")
QUOTED = HTML.replace('"', "&quot;")
JSON = json.dumps(PASSWORD)[1:-1]
SLASHED = re.sub(r"([\\'\"])", r"\\\1", PASSWORD)
CODED = quote_plus(PASSWORD)
MISREAD = PASSWORD.encode().decode("latin-1")
FORMS = {
    "HTML": HTML,
    "HTML of PHP": QUOTED.replace("'", "&#039;"),
    "HTML of others": QUOTED.replace("'", "&#39;").replace("&quot;", "&#34;"),
    "HTML with a quote left": QUOTED,
    "XML": QUOTED.replace("'", "&apos;"),
    "HTML of Python": escape(PASSWORD),
    "HTML, twice": escape(escape(PASSWORD)),
    "HTML, with names": QUOTED.replace("\u00fc", "&uuml;").replace("\u20ac", "&euro;"),
    "XML in ASCII": QUOTED.encode("ascii", "xmlcharrefreplace").decode(),
    "JSON": JSON,
    "JSON of PHP": JSON.replace("/", "\\/"),
    "JSON in capitals": JSON.replace("00fc", "00FC"),
    "JSON in UTF-8": json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
    "JSON in HTML": escape(JSON.replace("/", "\\/")),
    "JSON in JSON": json.dumps(JSON.replace("/", "\\/"))[1:-1],
    "addslashes": SLASHED,
    "addslashes in HTML": escape(SLASHED),
    "repr": repr(PASSWORD)[1:-1],
    "ascii": ascii(PASSWORD)[1:-1],
    "an address": quote(PASSWORD, safe=""),
    "an address with slashes": quote(PASSWORD),
    "a form": CODED,
    "a form in lower case": re.sub("%..", lambda found: found[0].lower(), CODED),
    "an address in lower case": re.sub("%..", lambda found: found[0].lower(), quote(PASSWORD, safe="")),
    "an address in an address": quote(quote(PASSWORD, safe=""), safe=""),
    "UTF-8 read as Latin-1": MISREAD,
    "UTF-8 read as Windows-1252": PASSWORD.encode().decode("cp1252"),
    "UTF-8 read as Latin-1, in HTML": escape(MISREAD).encode("ascii", "xmlcharrefreplace").decode(),
}


class TestSecrets:
    def test_no_secret_of_the_settings_is_logged(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """As a value, as a key, in a list, in a text, in somebody else's message or in an object's text."""
        stream = told(settings(LEDGER_URL="postgresql://bot:hunter2secret@db/ledger"))

        class Talkative:
            def __repr__(self) -> str:
                return f"<connected with {secret}>"

        for secret in secrets(settings(LEDGER_URL="postgresql://bot:hunter2secret@db/ledger")):
            log.warning(f"connecting with {secret}!", value=secret, nested={"list": [secret, {secret: 1}]})
            log.warning("object", value=Talkative())
            logging.getLogger("somebody").warning("token %s", secret)
            logging.getLogger("somebody").warning("object %r", Talkative())
            assert secret not in stream.getvalue()
        assert stream.getvalue().count("[redacted]") > 20

    @given(
        st.text("abcdefghij01/?#@:&=+% [];é", min_size=4, max_size=12),
        st.sampled_from(["postgresql://bot:{}@db/ledger", "postgresql://db/ledger?password={}"]),
        st.booleans(),
    )
    @example(password="0@0?", address="postgresql://bot:{}@db/ledger", coded=False)
    @effort(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_password_that_the_driver_reads_is_known(
        self, settings: NewSettings, password: str, address: str, coded: bool
    ) -> None:
        """And no part of it is taken for the server's name: such an address is refused."""
        url = address.format(quote(password, safe="") if coded else password)
        try:
            given = settings(LEDGER_URL=url)
        except ConfigError:
            assert not coded
            return
        read = make_url(given.ledger_url.get_secret_value())
        found = [read.password] if read.password else []
        for name, value in read.query.items():
            if name == "password":
                found += [value] if isinstance(value, str) else value
        assert read.host == "db"
        assert read.database == "ledger"
        redaction = Redaction(logs.secrets_of(given))
        for one in found:
            assert len(one) < 4 or one not in redaction.clean(f"<{one}>")

    @pytest.mark.parametrize("query", ["", "?sslmode=require"])
    def test_the_password_in_the_ledgers_address_is_redacted_by_itself(
        self, settings: NewSettings, told: Callable[..., io.StringIO], query: str
    ) -> None:
        """A driver tells it without the address around it: as it is written there, and as it is meant."""
        stream = told(settings(LEDGER_URL=f"postgresql://bot:hunter2%2Fs%40cret@db/ledger{query}"))
        log.warning("refused hunter2%2Fs%40cret", password="hunter2/s@cret")
        logging.getLogger("psycopg").warning("password %s refused", "hunter2/s@cret")
        assert "hunter2" not in stream.getvalue()
        assert stream.getvalue().count("[redacted]") == 3

    def test_no_secret_is_logged_with_an_exception(
        self, settings: NewSettings, told: Callable[..., io.StringIO]
    ) -> None:
        """Neither its text nor those of its causes, from our loggers and from others'."""
        stream = told(settings())
        for secret in secrets(settings()):
            try:
                try:
                    raise ValueError(f"cause {secret}")
                except ValueError as cause:
                    raise RuntimeError(f"refused {secret}") from cause
            except RuntimeError as error:
                log.warning("failed", exc_info=error)
                log.exception("failed")
                logging.getLogger("somebody").exception("failed with %s", secret)
                logging.getLogger("somebody").warning("failed", exc_info=error, stack_info=True)
            assert secret not in stream.getvalue()
        assert all("RuntimeError" in line["exception"] for line in lines(stream))

    @pytest.mark.parametrize(
        "secret",
        [
            "xoxb-123-456-AbCdEf",
            "xoxp-123",
            "xoxe.xoxb-1-Mi0yLTEyMzQ1",
            "xapp-1-A0-123-abcdef",
            "https://hooks.slack.com/commands/T0/123/abcdef",
            "wss://wss-primary.slack.com/link/?ticket=1-2-abcdef",
            "/link/?ticket=1-2-abcdef",
            "https://hooks.slack.com/services/T0/B0/abcdef?x=y",
            "d41d8cd98f00b204e9800998ecf8427e",
        ],
    )
    def test_what_has_the_shape_of_a_secret_is_redacted(self, secret: str) -> None:
        """Tokens, response_urls and session ids that nobody configured."""
        told = Redaction([]).clean(f"before '{secret}' after")
        assert secret not in told
        assert secret[-6:] not in told
        assert told.startswith("before '")

    def test_what_only_looks_a_little_like_a_secret_stays(self) -> None:
        """An operator needs payment numbers, invoices and the trail's hashes."""
        text = "#42 vps 10101 C0PAYMENTS U0ALICE001 " + "ab" * 32
        assert Redaction([]).clean(text) == text

    @given(
        secret=st.text(min_size=4, max_size=40),
        before=st.text(max_size=20),
        after=st.text(max_size=20),
    )
    def test_a_known_secret_is_redacted_wherever_it_stands(
        self, secret: str, before: str, after: str
    ) -> None:
        """Also one with signs that mean something in a pattern."""
        told = Redaction([secret, "other"]).clean(before + secret + after)
        assert secret not in told or secret in "[redacted]"

    @pytest.mark.parametrize("how", FORMS)
    def test_a_secret_is_redacted_however_it_is_written(self, how: str) -> None:
        """As PHP, JSON, HTML and addresses write it, and mixed."""
        assert Redaction([PASSWORD]).clean(f"before {FORMS[how]} after") == "before [redacted] after"

    @pytest.mark.parametrize("piece", ["&amp;", "&#0", "\\", "it's ", "%25", "&", '"', "\u00c3", "0"])
    def test_a_long_text_that_nearly_holds_a_secret_costs_little_time(self, piece: str) -> None:
        """The billing API writes as long a text as it likes."""
        text = piece * (300_000 // len(piece))
        secrets = [PASSWORD, "&&&&\\\\\\\\x", *(f"{number:032x}" for number in range(1, 17))]
        started = time.process_time()
        assert Redaction(secrets, sessions_by_shape=False).clean(text) == text
        assert time.process_time() - started < 5.0

    def test_a_reference_that_only_looks_like_a_session_stays_where_sessions_are_known(self) -> None:
        """A log takes it out; in what the API answers it may be the bank's own number."""
        text, session = "Transaction 5d41402abc4b2a76b9719d911017c592", "d41d8cd98f00b204e9800998ecf8427e"
        known = Redaction([session], sessions_by_shape=False)
        assert known.clean(f"{text}, {session}, xoxb-1-a") == f"{text}, [redacted], [redacted]"
        assert Redaction([session]).clean(text) == "Transaction [redacted]"

    def test_of_two_secrets_the_longer_goes_first(self) -> None:
        """Where one is part of another, no rest of the longer one is left."""
        assert Redaction(["abcd", "abcdefgh"]).clean("abcdefgh abcd") == "[redacted] [redacted]"


class TestWhatOthersLog:
    async def test_a_whole_payment_at_debug_level_tells_no_secret(
        self,
        settings: NewSettings,
        told: Callable[..., io.StringIO],
        start_bot: StartBot,
        slack: LocalSlack,
        billing: LocalBilling,
    ) -> None:
        """zeep, slack_sdk and Bolt log envelopes and bodies at DEBUG: none of that comes through."""
        stream = told(settings())
        bot = await start_bot()
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        assert await bot.rest(10)
        assert billing.payments_made("vps", 10101) == 1
        text = stream.getvalue()
        assert lines(stream)
        for secret in secrets(settings()):
            assert secret not in text
        for word in ("Envelope", "api_login", "response_url", "trigger_id", "/respond/"):
            assert word not in text

    async def test_a_badly_signed_request_is_not_logged_whole(
        self, settings: NewSettings, told: Callable[..., io.StringIO], start_bot: StartBot
    ) -> None:
        """Bolt would log its body: whoever may reach the port could write into the log what they like."""
        stream = told(settings(), logging.INFO)
        port = free_port()
        await start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET="0123456789abcdef", HTTP_PORT=port)
        url = f"http://127.0.0.1:{port}/slack/events"
        forged = {"command": "/pay", "text": "forged-words", "response_url": "https://example.com/forged"}
        headers = {"X-Slack-Signature": "v0=00", "X-Slack-Request-Timestamp": "1"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=forged, headers=headers) as answer,
        ):
            assert answer.status == 401
        assert "forged" not in stream.getvalue()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


class TestWhatALineIsAbout:
    """Whoever logs it, it says which request, payment and invoice it is about, and who acted."""

    async def test_a_payment(
        self,
        settings: NewSettings,
        told: Callable[..., io.StringIO],
        start_bot: StartBot,
        slack: LocalSlack,
        billing: LocalBilling,
    ) -> None:
        """Also a line by what knows nothing of payments, and one about work that failed."""
        stream = told(settings(), logging.INFO)
        billing.fail("reset-before", operation="api_make_payment")
        slack.fail("chat.postMessage", "500", times=1)
        await start_bot()
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        await until(lambda: any(one["event"] == "still unknown" for one in lines(stream)))
        (first, *_) = [one for one in lines(stream) if one["event"] == "still unknown"]
        about = {name: first.get(name) for name in ("request", "line", "payment", "module", "invoice")}
        assert about == {"request": "#1", "line": 1, "payment": "#1", "module": "vps", "invoice": 10101}
        assert first["requester"] == ids.ALICE
        (untold, *_) = [one for one in lines(stream) if one["event"] == "not delivered yet"]
        assert (untold["request"], untold["invoice"]) == ("#1", 10101)

    async def test_work_that_failed(self, told: Callable[..., io.StringIO], settings: NewSettings) -> None:
        """What is bound where it was begun is bound where its end is logged."""
        stream = told(settings(), logging.INFO)
        pool: TaskPool[int] = TaskPool("worker", 1, asyncio.Event())

        async def fail() -> None:
            raise ValueError("a bug")

        with about_number(42):
            pool.start(1, fail())
        await pool.drain(5)
        await asyncio.sleep(0)
        (failed,) = [one for one in lines(stream) if one["event"] == "work failed"]
        assert failed["request"] == "#42"

    async def test_what_a_person_does(
        self,
        settings: NewSettings,
        told: Callable[..., io.StringIO],
        start_bot: StartBot,
        slack: LocalSlack,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """By a command and by a click; and nobody else's lines say so."""

        async def broken(*_: object, **__: object) -> None:
            raise ValueError("a bug")

        stream = told(settings(), logging.INFO)
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        card = await request(slack, bot)
        monkeypatch.setattr(Desk, "approve", broken)
        monkeypatch.setattr(Desk, "pause", broken)
        await approve(slack, card, "bob")
        await slack.person("carol").types("#payments", "/pay pause")
        unexpected = [one for one in lines(stream) if one["event"] == "unexpected"]
        assert [one["person"] for one in unexpected] == [ids.BOB, ids.CAROL]
        assert all("person" not in one for one in lines(stream) if one["event"] == "connected to Slack")
