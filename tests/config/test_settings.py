"""Settings: every variable, every problem at once, and never a value in a message."""

from __future__ import annotations

import string
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.config import VARIABLES, given_in, load, load_ledger, policy_of
from bot.errors import ConfigError
from tests.config.making import NO_FILE, REQUIRED, loaded, problems


class TestWhatEachVariableBecomes:
    def test_what_is_required_is_enough(self) -> None:
        """Everything else has the default that the documents give."""
        found = loaded()
        assert found.slack_bot_token.get_secret_value() == "xoxb-1-abc"
        assert found.mode == "socket"
        assert found.slack_api_url == "https://slack.com/api/"
        assert found.billing_wsdl_url == "https://my.interserver.net/api.php?wsdl"
        assert (found.billing_timeout, found.billing_concurrency) == (60, 8)
        assert found.ledger_url.get_secret_value() == "sqlite:///ledger.db"
        assert found.pay_allowed_users == found.pay_approvers == found.pay_allowed_channels == frozenset()
        assert (found.pay_approvals_required, found.pay_approval_channel) == (0, None)
        assert found.pay_expires_after == timedelta(days=3)
        assert (found.pay_policy_file, found.status_port) == (None, None)
        assert (found.http_host, found.http_port) == ("127.0.0.1", 3000)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("SLACK_API_URL", "http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api/"),
            ("HTTP_HOST", "0.0.0.0", "0.0.0.0"),
            ("HTTP_PORT", "8443", 8443),
            ("BILLING_WSDL_URL", "https://example.com/api.php?wsdl", "https://example.com/api.php?wsdl"),
            ("BILLING_USERNAME", "bob", "bob"),
            ("LEDGER_URL", "sqlite:////var/lib/pay/ledger.db", SecretStr("sqlite:////var/lib/pay/ledger.db")),
            ("LEDGER_URL", "postgres://u:p@db:5432/ledger", SecretStr("postgresql://u:p@db:5432/ledger")),
            ("LEDGER_URL", "postgresql:///x?host=/run/pg", SecretStr("postgresql:///x?host=/run/pg")),
            ("LEDGER_URL", "postgresql://db/x?user=a@b", SecretStr("postgresql://db/x?user=a@b")),
            ("LEDGER_URL", "postgresql://u:p@[::1]:5/x", SecretStr("postgresql://u:p@[::1]:5/x")),
            ("BILLING_TIMEOUT", "2.5", 2.5),
            ("BILLING_CONCURRENCY", "64", 64),
            ("PAY_ALLOWED_USERS", " U1,W2 ,, S3,", frozenset({"U1", "W2", "S3"})),
            ("PAY_APPROVERS", "U1", frozenset({"U1"})),
            ("PAY_APPROVALS_REQUIRED", "2", 2),
            ("PAY_ALLOWED_CHANNELS", "C1,G2", frozenset({"C1", "G2"})),
            ("PAY_APPROVAL_CHANNEL", "C9", "C9"),
            ("PAY_EXPIRES_AFTER", "90m", timedelta(minutes=90)),
            ("PAY_POLICY_FILE", "policy.toml", Path("policy.toml")),
            ("STATUS_PORT", "9090", 9090),
        ],
    )
    def test_a_variable_becomes_a_setting(self, name: str, value: str, expected: object) -> None:
        """Field names are the variables' names in lower case."""
        assert getattr(loaded(**{name: value}), name.lower()) == expected

    @pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "BILLING_PASSWORD", "LEDGER_URL"])
    def test_a_secret_does_not_show(self, name: str) -> None:
        """Neither printing the settings nor one of them shows it."""
        value = {**REQUIRED, "LEDGER_URL": "postgresql://bot:hunter3@db/ledger"}[name]
        found = loaded(LEDGER_URL="postgresql://bot:hunter3@db/ledger")
        shown = repr(found) + str(found) + str(getattr(found, name.lower()))
        assert value not in shown
        assert getattr(found, name.lower()).get_secret_value() == value

    def test_http_mode_has_a_signing_secret_in_place_of_the_app_token(self) -> None:
        """How Slack reaches the bot follows from what is set."""
        environment = {**REQUIRED, "SLACK_SIGNING_SECRET": "0123456789abcdef"}
        del environment["SLACK_APP_TOKEN"]
        assert load(NO_FILE, environment).mode == "http"


class TestWhereTheyComeFrom:
    def test_the_environment_wins_over_the_file(self, tmp_path: Path) -> None:
        """What the file says counts only where the process's own environment says nothing."""
        (tmp_path / ".env").write_text(
            "# a comment\nBILLING_USERNAME=from-file\nexport BILLING_PASSWORD='pass # word'\nHTTP_PORT=4000\n"
        )
        environment = {name: REQUIRED[name] for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")}
        found = load(tmp_path / ".env", environment | {"HTTP_PORT": "5000"})
        assert found.billing_username == "from-file"
        assert found.billing_password.get_secret_value() == "pass # word"
        assert found.http_port == 5000

    def test_a_dollar_sign_in_the_file_is_a_dollar_sign(self, tmp_path: Path) -> None:
        """A password is not a template: nothing of the environment gets into it."""
        (tmp_path / ".env").write_text("BILLING_PASSWORD=a${HOME}$b\n")
        environment = {name: value for name, value in REQUIRED.items() if name != "BILLING_PASSWORD"}
        found = load(tmp_path / ".env", environment)
        assert found.billing_password.get_secret_value() == "a${HOME}$b"

    def test_the_process_environment_and_dot_env_are_what_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without arguments: `.env` in the working directory, and os.environ, which stays as it is."""
        monkeypatch.chdir(tmp_path)
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in REQUIRED.items()))
        monkeypatch.setenv("BILLING_USERNAME", "from-environment")
        assert load().billing_username == "from-environment"
        monkeypatch.delenv("BILLING_USERNAME")
        assert load().billing_username == "alice"

    @pytest.mark.parametrize("value", ["", "  ", "\t"])
    def test_an_empty_variable_is_not_set(self, value: str, tmp_path: Path) -> None:
        """So `.env.example` can be copied as it is; an empty one does not hide what the file says."""
        assert loaded(HTTP_PORT=value, PAY_APPROVAL_CHANNEL=value, STATUS_PORT=value).http_port == 3000
        assert "BILLING_PASSWORD" in problems({**REQUIRED, "BILLING_PASSWORD": value})

    @pytest.mark.parametrize("value", ["", " "])
    def test_an_empty_one_of_the_environment_lifts_no_restriction_of_the_file(
        self, value: str, tmp_path: Path
    ) -> None:
        """Compose and shells set what they do not know to nothing, and nobody meant all channels by that."""
        (tmp_path / ".env").write_text("PAY_ALLOWED_CHANNELS=C0PAYMENTS\nPAY_POLICY_FILE=rules.toml\n")
        found = given_in(tmp_path / ".env", {"PAY_ALLOWED_CHANNELS": value, "PAY_POLICY_FILE": value})
        assert found == {"PAY_ALLOWED_CHANNELS": "C0PAYMENTS", "PAY_POLICY_FILE": "rules.toml"}

    def test_a_file_that_cannot_be_read_is_a_problem(self, tmp_path: Path) -> None:
        """It is said, and nothing of it is echoed."""
        (tmp_path / ".env").write_bytes(b"BILLING_PASSWORD=\xff\xfe\n")
        assert problems(REQUIRED, tmp_path / ".env") == {
            ".env": "cannot be read. Check that it is a UTF-8 text file you may read."
        }


WRONG = {
    "SLACK_BOT_TOKEN": ["xoxp-1-abc", "xoxb-", "xoxb-1 2", "Bearer xoxb-1-abc", "xoxb-1-é"],
    "SLACK_APP_TOKEN": ["xoxb-1-abc", "xapp"],
    "SLACK_API_URL": [
        "slack.com",
        "ftp://slack.com/api/",
        "http://slack.com/api/",
        "https://u:p@slack.com/",
        "https://slack..com/api/",
    ],
    "BILLING_WSDL_URL": [
        "http://my.interserver.net/api.php?wsdl",
        "https://",
        "https://[::1",
        "wsdl.xml",
        f"https://{64 * 'x'}.net/",
    ],
    "BILLING_TIMEOUT": ["0", "601", "soon", "nan", "inf", "-1"],
    "BILLING_CONCURRENCY": ["0", "65", "8.5", "many"],
    "HTTP_HOST": ["pay..example.com", f"{64 * 'x'}.example.com"],
    "HTTP_PORT": ["0", "65536", "http", "-1"],
    "STATUS_PORT": ["0", "99999", "on"],
    "LEDGER_URL": [
        "ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://db/ledger",
        "postgresql:///ledger",
        "postgresql://db:port/ledger",
        "postgresql://db..internal/ledger",
        "postgresql:///ledger?host=db,db..internal",
        "postgresql://bot:s3cr@et@db/ledger",
        "postgresql://bot:12/34geheim@db/ledger",
        "postgresql://bot:12?geheim@db/ledger",
        "postgresql://bot:12#geheim@db/ledger",
        "postgresql://bot/it:geheim@db/ledger",
        "postgresql://bot:pw@geheim/it@db/ledger",
        "postgresql://db:5432/ledger?user=bot@geheim",
    ],
    "PAY_ALLOWED_USERS": ["alice", "@alice", "alice@example.com", "*", "everyone", "C1", "<@U1>", "U1;U2"],
    "PAY_APPROVERS": ["bob", "u1", "U1 U2"],
    "PAY_APPROVALS_REQUIRED": ["-1", "21", "two"],
    "PAY_ALLOWED_CHANNELS": ["#payments", "payments", "U1"],
    "PAY_APPROVAL_CHANNEL": ["#approvals", "U1", "S1"],
    "PAY_EXPIRES_AFTER": ["3", "3 weeks", "0d", "-1h", "9999d", "1.5h"],
}


MARKED = st.text(string.ascii_letters + string.digits + "-:/@,.#<>| ", max_size=12).flatmap(
    lambda before: st.text(string.printable, max_size=12).map(lambda after: f"{before}Zq7Marker{after}")
)


class TestWhatIsWrong:
    def test_everything_that_is_missing_is_listed_at_once(self) -> None:
        """Each with its name and where to get it."""
        found = problems({})
        assert set(found) == {
            "SLACK_BOT_TOKEN",
            "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
            "BILLING_USERNAME",
            "BILLING_PASSWORD",
        }
        assert all(remedy.startswith(("is not set. ", "set exactly one. ")) for remedy in found.values())

    @pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
    def test_a_wrong_value_is_refused_with_its_name_and_a_remedy(self, name: str, value: str) -> None:
        """And nothing else is complained of."""
        found = problems({**REQUIRED, name: value})
        assert list(found) == [name]
        assert found[name].strip()

    @pytest.mark.parametrize(
        ("name", "value", "what"),
        [
            ("BILLING_CONCURRENCY", "8.5", "must be a whole number from 1 to 64."),
            ("BILLING_TIMEOUT", "soon", "must be a number of seconds from 1 to 600."),
            ("STATUS_PORT", "on", "must be a whole number from 1 to 65535."),
        ],
    )
    def test_a_wrong_number_is_told_what_would_be_right(self, name: str, value: str, what: str) -> None:
        """Kind and bounds in one sentence, whichever of them was missed."""
        assert problems({**REQUIRED, name: value})[name].startswith(what)

    @pytest.mark.parametrize("name", VARIABLES)
    def test_what_is_no_text_is_refused(self, name: str) -> None:
        """The environment may hold any bytes; Python hands them over as what no service can be sent."""
        assert problems(REQUIRED | {name: "xoxb-\udcff"})[name] == "is not UTF-8 text. Set it again."

    def test_both_ways_to_reach_the_bot_are_one_too_many(self) -> None:
        """Socket Mode or HTTP: the bot does not choose."""
        found = problems({**REQUIRED, "SLACK_SIGNING_SECRET": "0123456789abcdef"})
        assert list(found) == ["SLACK_APP_TOKEN or SLACK_SIGNING_SECRET"]
        assert "exactly one" in found["SLACK_APP_TOKEN or SLACK_SIGNING_SECRET"]

    def test_a_policy_file_stands_alone(self) -> None:
        """Two sources of who may pay would leave open which counts."""
        found = problems({**REQUIRED, "PAY_POLICY_FILE": "policy.toml", "PAY_APPROVERS": "U2"})
        assert list(found) == ["PAY_POLICY_FILE"]
        assert "Remove PAY_APPROVERS" in found["PAY_POLICY_FILE"]

    def test_everything_that_is_wrong_is_listed_at_once(self) -> None:
        """One look at the list is enough to put all of it right."""
        environment = {name: values[0] for name, values in WRONG.items()}
        environment["SLACK_SIGNING_SECRET"] = "0123456789abcdef"
        assert set(problems(environment)) == {
            *WRONG,
            "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
            "BILLING_USERNAME",
            "BILLING_PASSWORD",
        }

    def test_a_policy_that_makes_no_sense_is_listed_with_the_rest(self, tmp_path: Path) -> None:
        """What is wrong only as a whole is not kept for the second try."""
        found = problems({"PAY_ALLOWED_USERS": "U1", "PAY_APPROVERS": "U2", "PAY_APPROVALS_REQUIRED": "2"})
        assert "BILLING_PASSWORD" in found
        assert {"PAY_APPROVERS", "PAY_APPROVALS_REQUIRED"} & found.keys()
        (tmp_path / "policy.toml").write_text("[[rule]]\n")
        found = problems({"PAY_POLICY_FILE": str(tmp_path / "policy.toml")})
        assert {"BILLING_PASSWORD", "PAY_POLICY_FILE"} <= found.keys()

    @given(values=st.dictionaries(st.sampled_from(VARIABLES), MARKED, min_size=1))
    @effort(max_examples=150)
    def test_no_value_is_ever_echoed(self, values: dict[str, str]) -> None:
        """Whatever is put into whichever variables: a token in the wrong place ends up in no message."""
        try:
            found = load(NO_FILE, REQUIRED | values)
            policy_of(found)
        except ConfigError as error:
            told = str(error) + repr(error) + repr(error.problems)
            assert "Zq7Marker" not in told.replace(values.get("PAY_POLICY_FILE", "\0"), "")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("LEDGER_URL", "postgresql://bot:Zq7Marker\u2100@db/ledger"),
            ("LEDGER_URL", "postgresql://[Zq7Marker]/ledger"),
            ("LEDGER_URL", "postgresql://db:Zq7Marker/ledger"),
            ("SLACK_API_URL", "https://[Zq7Marker]/api/"),
            ("BILLING_WSDL_URL", "https://u:Zq7Marker\u2100@my.interserver.net/"),
        ],
    )
    def test_no_part_of_an_odd_address_is_echoed(self, name: str, value: str) -> None:
        """Python's own complaint about an address quotes the part where a password stands."""
        found = problems({**REQUIRED, name: value})
        assert list(found) == [name]
        assert "Zq7Marker" not in found[name]

    @pytest.mark.parametrize("name", ["PAY_ALLOWED_USERS", "PAY_APPROVERS", "PAY_ALLOWED_CHANNELS"])
    @pytest.mark.parametrize("value", [",", " , ,, "])
    def test_a_list_that_names_nothing_is_refused(self, name: str, value: str) -> None:
        """Of the channels it would mean all of them, and that is never what somebody meant by a comma."""
        assert list(problems({**REQUIRED, name: value})) == [name]


class TestPorts:
    @pytest.mark.parametrize("set_to", [{"STATUS_PORT": "3000"}, {"STATUS_PORT": "80", "HTTP_PORT": "80"}])
    def test_one_port_is_not_for_both(self, set_to: dict[str, str]) -> None:
        """Before the start would find it taken, by the bot itself; over Socket Mode only one is used."""
        http = {**REQUIRED, "SLACK_SIGNING_SECRET": "0123456789abcdef"}
        del http["SLACK_APP_TOKEN"]
        assert "Choose another" in problems(http | set_to)["STATUS_PORT"]
        assert problems(http | set_to | {"STATUS_PORT": "8080"}) == {}
        assert problems(REQUIRED | set_to) == {}


class TestWhatIsMisspelt:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("PAY_ALOWED_CHANNELS", "PAY_ALLOWED_CHANNELS"),
            ("PAY_ALLOWED_CHANNEL", "PAY_ALLOWED_CHANNELS"),
            ("PAY_APPROVAL_REQUIRED", "PAY_APPROVALS_REQUIRED"),
            ("PAY_APPROVER", "PAY_APPROVERS"),
            ("pay_approvers", "PAY_APPROVERS"),
            ("PAY_POLICYFILE", "PAY_POLICY_FILE"),
            ("PAY_CHANNELS", "PAY_ALLOWED_CHANNELS"),
            ("PAY_CHANNEL", "Did you mean PAY_A"),
            ("PAY_REQUIRED_APPROVALS", "Did you mean PAY_APPROV"),
            ("PAY_EXPIRES", "PAY_EXPIRES_AFTER"),
            ("PAY_MAXIMUM", "Remove it"),
            ("PAY_SERVICE", "is no variable"),
            ("PAY_PORTS", "is no variable"),
            ("PYA_APPROVALS_REQUIRED", "PAY_APPROVALS_REQUIRED"),
            ("PAYALLOWED_CHANNELS", "PAY_ALLOWED_CHANNELS"),
            ("PAY__APPROVERS", "PAY_APPROVERS"),
            ("PSY_APPROVERS", "PAY_APPROVERS"),
            ("AY_POLICY_FILE", "PAY_POLICY_FILE"),
        ],
    )
    def test_a_misspelt_variable_is_refused(self, name: str, meant: str, tmp_path: Path) -> None:
        """A restriction that is not read does not restrict. The name is said, in the file and elsewhere."""
        found = problems({**REQUIRED, name: "U1Zq7Marker"})
        assert list(found) == [name]
        assert meant in found[name]
        assert "Zq7Marker" not in found[name]
        (tmp_path / ".env").write_text(f"{name}=U1\n")
        assert list(problems(REQUIRED, tmp_path / ".env")) == [name]
        assert problems({**REQUIRED, name: " "}) == {}

    @pytest.mark.parametrize("name", ["LEDGER_UR", "LEDGERURL", "LEDGER_URI", "ledger_url", "LEGDER_URL"])
    def test_a_misspelt_ledger_is_refused(self, name: str, tmp_path: Path) -> None:
        """A bot would begin a new one beside it, and pay what the right one knows as paid."""
        (tmp_path / ".env").write_text(f"{name}=postgresql://bot@db/ledger\n")
        assert problems(REQUIRED, tmp_path / ".env") == {
            name: "is no variable of this bot. Did you mean LEDGER_URL?"
        }
        with pytest.raises(ConfigError, match="Did you mean LEDGER_URL"):
            load_ledger(tmp_path / ".env", {})
        assert problems(REQUIRED | {"LEDGER_URL": "sqlite:///ledger.db"}, tmp_path / ".env") == {}

    @pytest.mark.parametrize(
        "name",
        [
            "ALLOWED_USERS",
            "LEDGER_SERVICE_HOST",
            "LEDGER_DIR",
            "DATABASE_URL",
            "APPROVERS",
            "PLAY_ALLOWED",
            "POLICY_FILE",
            "PAGER",
        ],
    )
    def test_what_resembles_a_part_of_a_name_is_another_programs(self, name: str) -> None:
        """The environment holds what everybody reads; only a slip or two in the prefix was meant for here."""
        assert problems({**REQUIRED, name: "U1"}) == {}

    @pytest.mark.parametrize("service", ["PAY", "PAY_API"])
    def test_what_others_call_pay_is_theirs(self, service: str) -> None:
        """Kubernetes sets these for a service of that name."""
        others = (
            *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_443_TCP"),
            *("PORT_443_TCP_ADDR", "PORT_443_TCP_PORT", "PORT_443_TCP_PROTO", "PORT_53_UDP"),
        )
        assert problems(REQUIRED | {f"{service}_{other}": "10.0.0.1" for other in others}) == {}
