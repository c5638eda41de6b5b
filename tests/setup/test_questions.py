"""The answers to each question, tried on the local Slack and billing API; what is wrong says the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.ledger.database import one_process
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST, AppManifest
from bot.setup import channels, people, services, tokens
from bot.setup.draft import Draft
from bot.setup.step import Known, Step
from bot.slack import roster
from tests.fixture_types import NewDatabase
from tests.ledger.released import release
from tests.setup.answering import Answering


@pytest.fixture
def draft(environment: dict[str, str]) -> Draft:
    return Draft({name: value for name, value in environment.items() if not name.startswith("PAY_")})


@pytest.fixture
async def known(draft: Draft) -> Known:
    """After a good bot token."""
    known = Known(draft)
    await tokens.BotToken(known).check()
    return known


async def answered(step: Step, draft: Draft, *answers: str) -> list[str]:
    """Answer once; what was said before and after. Raises ConfigError where it will not do."""
    terminal = Answering(draft, list(answers))
    step.ask(terminal)
    assert terminal.answers == [], "it asked for less"
    return [*terminal.said, *await step.check()]


async def refused(step: Step, draft: Draft, *answers: str) -> str:
    with pytest.raises(ConfigError) as why:
        await answered(step, draft, *answers)
    return str(why.value)


class TestTokens:
    async def test_whose_it_is_is_said(self, draft: Draft) -> None:
        """Enter keeps what is there."""
        said = await answered(tokens.BotToken(Known(draft)), draft, "")
        assert said[-1] == "@invoice-pay in Acme, with 5 people"

    @pytest.mark.parametrize(
        ("token", "why"),
        [
            ("xapp-1-A-2-hunter2", "this is the app's token, which is asked for next"),
            ("xoxp-1-hunter2", "this is a person's token"),
            ("xoxe.xoxb-1-hunter2", "this is a token that expires; turn token rotation off"),
            ("hunter2", "must be the token that begins with xoxb-"),
            ("xoxb-1-hunter2", "Slack refuses it (invalid_auth)"),
        ],
    )
    async def test_a_bot_token_that_is_none(self, draft: Draft, token: str, why: str) -> None:
        """What it is instead, where that can be seen; never the token."""
        said = await refused(tokens.BotToken(Known(draft)), draft, token)
        assert why in said
        assert "hunter2" not in said

    async def test_scopes_that_are_missing(self, draft: Draft, slack: LocalSlack) -> None:
        """By name and purpose; the app is installed again, and Enter tries the same token."""
        everything = AppManifest(DEFAULT_MANIFEST).scopes
        slack.grant(everything - {"usergroups:read", "groups:read"} | {"files:read"})
        step = tokens.BotToken(Known(draft))
        said = await refused(step, draft, "")
        assert "usergroups:read (to know who is in a group), groups:read" in said
        assert "install the app again" in said
        slack.grant(everything | {"files:read"})
        assert "never needed: files:read" in (await answered(step, draft, ""))[-1]

    async def test_no_network(self, draft: Draft) -> None:
        """Told as such, and not as a bad token."""
        draft.set("SLACK_API_URL", "http://127.0.0.1:1/api/")
        said = await refused(tokens.BotToken(Known(draft)), draft, "")
        assert said.startswith("Slack: does not answer (ClientConnectorError). Check this machine's network")

    async def test_everybody_is_read_page_by_page(
        self, draft: Draft, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often Slack wants to be left alone in between."""
        monkeypatch.setattr(roster, "PEOPLE_A_PAGE", 3)
        slack.fail("users.list", "429", times=2, retry_after=0)
        for number in range(20):
            slack.world.add_person(f"clerk{number}")
        known = Known(draft)
        await tokens.BotToken(known).check()
        assert len(known.members) == len(slack.world.people) - 1, "Xena is somebody else's"
        assert sum(call.method == "users.list" for call in slack.calls) > 9

    @pytest.mark.parametrize(
        ("token", "why"),
        [
            ("xoxb-1-hunter2", "this is the bot's token again"),
            ("xapp-hunter2", "Slack refuses it (invalid_auth)"),
            ("hunter2", "must be the token that begins with xapp-"),
        ],
    )
    async def test_an_app_token_that_is_none(self, known: Known, token: str, why: str) -> None:
        """As for the other."""
        said = await refused(tokens.AppToken(known), known.draft, token)
        assert why in said
        assert "hunter2" not in said

    async def test_an_app_token_of_another_app(self, known: Known, slack: LocalSlack) -> None:
        """Slack's hello says whose it is."""
        said = await refused(tokens.AppToken(known), known.draft, slack.token_of_another_app("A0OTHERAPP"))
        assert "is of the app A0OTHERAPP, and SLACK_BOT_TOKEN of A0PAYBOT01 (Invoice Pay)" in said

    async def test_over_http_there_is_none(self, known: Known) -> None:
        """Where a signing secret stands in its place."""
        known.draft.set("SLACK_APP_TOKEN", "")
        assert tokens.AppToken(known).needed() == ("SLACK_APP_TOKEN",)
        known.draft.set("SLACK_SIGNING_SECRET", "abc")
        assert not tokens.AppToken(known).wanted()
        assert "over HTTP" in (await answered(tokens.BotToken(known), known.draft, ""))[-1]

    async def test_a_signing_secret_in_place_of_the_app_token_means_http(self, known: Known) -> None:
        """And an app token in its place means Socket Mode again."""
        step, draft, app_token = tokens.AppToken(known), known.draft, known.draft.get("SLACK_APP_TOKEN")
        secret = "0123456789abcdef" * 2
        assert "over HTTP" in (await answered(step, draft, secret))[-1]
        assert (draft.get("SLACK_APP_TOKEN"), draft.get("SLACK_SIGNING_SECRET")) == ("", secret)
        assert await answered(step, draft, app_token) == ["Socket Mode connects"]
        assert (draft.get("SLACK_APP_TOKEN"), draft.get("SLACK_SIGNING_SECRET")) == (app_token, "")


class TestPeople:
    @pytest.mark.parametrize(
        "answer", ["alice", "@ALICE", "Alice Ahrens", "alice ahrens", ids.ALICE, " alice ,@alice, "]
    )
    async def test_by_name_kept_by_id(self, known: Known, answer: str) -> None:
        """A name can change, and an id cannot."""
        said = await answered(people.Requesters(known), known.draft, answer)
        assert known.draft.get("PAY_ALLOWED_USERS") == ids.ALICE
        assert said[-1] == "Alice Ahrens (@alice, U0ALICE001)"

    async def test_groups_and_guests_are_marked(self, known: Known) -> None:
        """So that nobody lets a guest in without knowing."""
        said = await answered(people.Requesters(known), known.draft, "@finance, gil")
        assert known.draft.get("PAY_ALLOWED_USERS") == f"{ids.FINANCE_GROUP},{ids.GIL}"
        assert said[-2:] == [
            "the group Finance (@finance, 2 people, S0FINANCE1)",
            "Gil Garcia (@gil, guest, U0GIL00001)",
        ]

    async def test_a_name_that_two_people_have(self, draft: Draft, slack: LocalSlack) -> None:
        """Whoever calls themselves Bob Brandt as well is shown beside him, and the id decides."""
        slack.world.add_person("eve", "Bob Brandt", id="U0EVE00001")
        known = Known(draft)
        await tokens.BotToken(known).check()
        said = await answered(people.Requesters(known), draft, "bob brandt", "1")
        assert said[2:4] == ["Bob Brandt (@bob, U0BOB00001)", "Bob Brandt (@eve, U0EVE00001)"]
        assert draft.get("PAY_ALLOWED_USERS") == ids.BOB
        draft.set("PAY_ALLOWED_USERS", "bob brandt")
        with pytest.raises(ConfigError, match=r"may be Bob Brandt \(@bob, U0BOB00001\) or Bob Brandt \(@eve"):
            await people.Requesters(known).check()

    async def test_part_of_a_name_is_never_enough(self, known: Known) -> None:
        """It is shown whom it could mean, also where that is one person; none of them is an answer."""
        said = await answered(people.Requesters(known), known.draft, "car", "1")
        assert "Carol Castro (@carol, U0CAROL001)" in said
        assert known.draft.get("PAY_ALLOWED_USERS") == ids.CAROL
        assert "is nobody in this team" in await refused(people.Requesters(known), known.draft, "car", "0")
        known.draft.set("PAY_ALLOWED_USERS", "car")
        with pytest.raises(ConfigError, match="is nobody in this team"):
            await people.Requesters(known).check()

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            ("mallory", "Mallory Moss (@mallory, deactivated, U0MALLORY1) is deactivated"),
            (ids.MALLORY, "is deactivated"),
            ("xena", '"xena" is nobody in this team'),
            (ids.BOT_USER_ID, "is a bot"),
            ("U0NOBODY01", "is nobody in this team"),
            ("@everyone", "is nobody in this team"),
            ("@empty", "has nobody in it"),
        ],
    )
    async def test_who_never_counts_is_refused(
        self, draft: Draft, slack: LocalSlack, answer: str, why: str
    ) -> None:
        """By name or by id."""
        slack.world.change_person("mallory", deleted=True)
        slack.world.add_group("empty", [])
        known = Known(draft)
        await tokens.BotToken(known).check()
        assert why in await refused(people.Requesters(known), draft, answer)

    async def test_a_question_mark_lists_them(self, known: Known) -> None:
        """Groups first, then people by name; no bots, nobody of another organization."""
        said = await answered(people.Requesters(known), known.draft, "?", "alice")
        listed = [line.strip() for line in said if line.startswith("    ")]
        assert [line.split(" (")[0] for line in listed] == [
            *(
                "the group Finance",
                "Alice Ahrens",
                "Bob Brandt",
                "Carol Castro",
                "Gil Garcia",
                "Mallory Moss",
            ),
        ]

    async def test_what_is_there_is_the_default_by_name(self, known: Known) -> None:
        """Also somebody who has gone since, by id."""
        known.draft.set("PAY_ALLOWED_USERS", f"{ids.ALICE},{ids.FINANCE_GROUP},U0GONE0001")
        terminal = Answering(known.draft, ["bob"])
        people.Requesters(known).ask(terminal)
        assert terminal.said[0].endswith("[@alice, @finance, U0GONE0001]")

    async def test_enough_must_be_able_to_approve(self, known: Known) -> None:
        """Not the one who asks, and not more than there are; the number is asked again as well."""
        draft = known.draft
        draft.set("PAY_ALLOWED_USERS", ids.ALICE)
        step = people.Approvals(known)
        assert "could never be given" in await refused(step, draft, "", "alice")
        assert "2 approvals are required of 1 approver" in await refused(step, draft, "2", "bob")
        assert "3 must approve, and these are 2 people" in await refused(step, draft, "3", "@finance")
        assert "must be a whole number from 0 to 20" in await refused(step, draft, "many")
        assert (await answered(step, draft, "2", "@finance"))[-1].startswith("the group Finance")
        assert await answered(step, draft, "0") != []
        assert draft.get("PAY_APPROVALS_REQUIRED") == "0"

    async def test_a_file_of_rules_answers_it_all(self, known: Known) -> None:
        """Then nothing of this is asked."""
        known.draft.set("PAY_POLICY_FILE", "policy.toml")
        steps: list[Step] = [
            *(people.Requesters(known), people.Approvals(known)),
            *(channels.Channels(known), channels.ApprovalChannel(known)),
        ]
        assert not any(step.wanted() or step.needed() for step in steps)


class TestChannels:
    async def test_the_bot_must_be_in_it(self, known: Known, slack: LocalSlack) -> None:
        """Otherwise it is said what to type, and the same answer is good after that; private ones too."""
        for name in ("random", "finance-private"):
            said = await refused(channels.Channels(known), known.draft, f"#{name}")
            assert "In Slack, open it and type /invite @invoice-pay; then answer the same again." in said
            await slack.person("alice").invites_bot(name)
            channel = slack.world.channel(name)
            assert (await answered(channels.Channels(known), known.draft, ""))[
                -1
            ] == f"#{name} ({channel.id})"
            assert known.draft.get("PAY_ALLOWED_CHANNELS") == channel.id

    async def test_by_id(self, known: Known, slack: LocalSlack) -> None:
        """With the name of the channel that the bot is not in."""
        said = await refused(channels.Channels(known), known.draft, f"payments, {ids.RANDOM}")
        assert "the bot is not in #random (C0RANDOM01)" in said
        slack.world.change_channel(ids.RANDOM, is_archived=True)
        assert "is archived" in await refused(channels.Channels(known), known.draft, ids.RANDOM)

    async def test_all_of_them(self, known: Known, slack: LocalSlack) -> None:
        """Which those are now; where it is in none, what to type."""
        said = await answered(channels.Channels(known), known.draft, "")
        assert said[-1].startswith("now in #payments (C0PAYMENTS)")
        assert known.draft.get("PAY_ALLOWED_CHANNELS") == ""
        for channel in list(slack.world.channels):
            slack.world.leave(channel, ids.BOT_USER_ID)
        assert (
            "type /invite @invoice-pay" in (await answered(channels.Channels(known), known.draft, "all"))[-1]
        )

    async def test_where_approvals_are_asked_for(self, known: Known) -> None:
        """Only where there are any."""
        step = channels.ApprovalChannel(known)
        assert not step.wanted()
        known.draft.set("PAY_APPROVALS_REQUIRED", "1")
        assert step.wanted()
        assert (await answered(step, known.draft, "approvals"))[-1] == "#approvals (C0APPROVAL)"
        await answered(step, known.draft, "same")
        assert known.draft.get("PAY_APPROVAL_CHANNEL") == ""


class TestServices:
    async def test_a_wrong_address(self, draft: Draft, billing: LocalBilling) -> None:
        """Told before a password goes there."""
        step = services.Description(draft)
        for address in ("http://127.0.0.1:1/api.php?wsdl", billing.wsdl_url.removesuffix("?wsdl")):
            assert "the WSDL could not be used" in await refused(step, draft, address)
        assert "must begin with https://" in await refused(step, draft, "http://my.interserver.net/?wsdl")
        said = await answered(step, draft, "")
        assert said[0].endswith(f"[{billing.wsdl_url}]"), "a slip is nothing to begin with"
        assert said[-1].startswith("modules: domains, vps,")
        assert [call.operation for call in billing.log] == ["get_modules"]

    async def test_a_login_that_is_refused(self, draft: Draft) -> None:
        """Both are asked again; the name is there already."""
        said = await refused(services.Login(draft), draft, "", "hunter2")
        assert "login refused" in said
        assert "hunter2" not in said

    async def test_a_good_login_reads_the_lists(self, draft: Draft, billing: LocalBilling) -> None:
        """And nothing else."""
        said = await answered(services.Login(draft), draft, "", "")
        assert said[-1].startswith("unpaid invoices: can be read")
        assert "api_make_payment" not in {call.operation for call in billing.log}

    async def test_the_ledger_is_looked_at_and_made_later(self, draft: Draft, tmp_path: Path) -> None:
        """A question makes no file."""
        file = tmp_path / "new.db"
        step = services.LedgerPlace(draft)
        said = await answered(step, draft, f"sqlite:///{file}")
        assert "there is no ledger" in said[-1]
        assert not file.exists()
        assert "takes writes" in (await services.make_ledger(draft))[0]
        assert await services.make_ledger(draft) == []
        assert "takes writes" in (await answered(step, draft, ""))[-1]
        assert "none can be made there" in await refused(step, draft, f"sqlite:///{tmp_path}/no/l.db")
        assert "must be sqlite:///FILE or postgresql" in await refused(step, draft, "ledger.db")

    async def test_a_ledger_of_an_earlier_version_is_brought_up_to_date(
        self, draft: Draft, new_sqlite: NewDatabase
    ) -> None:
        """Unless a bot runs on it."""
        url = new_sqlite(migrated=False)
        await release(url)
        assert "of an earlier version" in (await answered(services.LedgerPlace(draft), draft, url))[-1]
        with one_process(url), pytest.raises(ConfigError, match="another process runs on the ledger"):
            await services.make_ledger(draft)
        assert "of this version" in (await services.make_ledger(draft))[0]

    async def test_a_password_in_the_address_is_not_shown(self, draft: Draft) -> None:
        """Enter keeps it."""
        url = "postgresql://bot:hunter2@127.0.0.1:1/ledger"
        draft.set("LEDGER_URL", url)
        terminal = Answering(draft, [""])
        services.LedgerPlace(draft).ask(terminal)
        assert terminal.said[0].endswith("[PostgreSQL at 127.0.0.1:1, database ledger]")
        assert draft.get("LEDGER_URL") == url
        assert "hunter2" not in str(draft.__dict__)


class TestWhereTheLedgerIs:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://bot:hunter2secret@db/ledger",
            "postgresql://db/ledger?user=bot&password=hunter2secret",
            "postgresql://db/ledger?user=bot&sslpassword=hunter2secret",
            "postgresql://bot:x@hunter2secret@db/ledger",
            "postgresql://bot:1/hunter2secret@db/ledger",
        ],
    )
    def test_a_password_in_its_address_is_not_shown(self, url: str) -> None:
        """Wherever it stands; of an address that is wrong nothing is. Enter keeps what is right."""
        draft = Draft({"LEDGER_URL": url})
        person = Answering(draft, answers=[""])
        services.LedgerPlace(draft).ask(person)
        assert "hunter2secret" not in str(person.said)
        assert draft.get("LEDGER_URL") == url

    def test_a_password_in_it_is_taken_out_of_what_a_driver_says(self) -> None:
        """Who says it, says it without the address around it."""
        draft = Draft({"LEDGER_URL": "postgresql://bot:hunter2%2Fsecret@db/ledger"})
        person = Answering(draft)
        person.say("FATAL: hunter2/secret is refused, hunter2%2Fsecret as well")
        assert person.said == ["FATAL: [redacted] is refused, [redacted] as well"]
