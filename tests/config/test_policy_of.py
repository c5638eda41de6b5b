"""The policy that the settings give: from the variables, or from the file that they name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot.config import policy_of
from bot.domain.policy import Rule, Tier
from bot.errors import ConfigError
from tests.config.making import loaded


class TestFromVariables:
    def test_the_variables_make_one_rule_for_everything(self) -> None:
        """Every variable arrives in the rule, and no channels means all channels."""
        policy = policy_of(
            loaded(
                PAY_ALLOWED_USERS="U1,S1",
                PAY_APPROVERS="U2,U3",
                PAY_APPROVALS_REQUIRED="2",
                PAY_APPROVAL_CHANNEL="C9",
                PAY_EXPIRES_AFTER="1h",
            )
        )
        assert policy.rules == (
            Rule(
                "default",
                frozenset({"U1", "S1"}),
                frozenset({"U2", "U3"}),
                (Tier(None, 2),),
                approval_channel="C9",
                expires_after=timedelta(hours=1),
            ),
        )
        (rule,) = policy_of(loaded(PAY_ALLOWED_USERS="U1", PAY_ALLOWED_CHANNELS="C1,C2")).rules
        assert rule == Rule("default", frozenset({"U1"}), channels=frozenset({"C1", "C2"}))

    def test_an_empty_allowlist_allows_nobody(self) -> None:
        """It is no mistake, and means what it says."""
        policy = policy_of(loaded())
        assert [rule.requesters for rule in policy.rules] == [frozenset()]

    def test_more_approvals_than_approvers_are_refused(self) -> None:
        """A request that could never be approved is a mistake of the settings, named by its variable."""
        with pytest.raises(ConfigError) as caught:
            policy_of(loaded(PAY_ALLOWED_USERS="U1", PAY_APPROVERS="U2", PAY_APPROVALS_REQUIRED="2"))
        (problem,) = caught.value.problems
        assert str(problem).startswith("PAY_APPROVALS_REQUIRED: 2 approvals are required of 1 approver, ")

    @pytest.mark.parametrize(
        "given",
        [
            {"PAY_APPROVERS": "U2"},
            {"PAY_APPROVERS": "U2", "PAY_APPROVALS_REQUIRED": " "},
            {"PAY_APPROVERS": "S2,", "PAY_EXPIRES_AFTER": "1d"},
            {"PAY_APPROVAL_CHANNEL": "C9"},
            {"PAY_APPROVERS": "U2", "PAY_APPROVAL_CHANNEL": "C9"},
        ],
    )
    def test_approvers_without_how_many_must_approve_are_refused(self, given: dict[str, str]) -> None:
        """Whoever names approvers means approvals: silently none would be asked for. The file says so too."""
        with pytest.raises(ConfigError) as caught:
            policy_of(loaded(PAY_ALLOWED_USERS="U1", **given))
        (problem,) = caught.value.problems
        assert problem.where == "PAY_APPROVALS_REQUIRED"
        assert "for example 1" in problem.remedy
        assert all(one in problem.what for one in given if one in ("PAY_APPROVERS", "PAY_APPROVAL_CHANNEL"))

    def test_nobody_has_to_approve_where_that_is_said(self) -> None:
        """As `approvals = 0` in the file: the approvers are then those who settle a lost answer."""
        policy = policy_of(loaded(PAY_ALLOWED_USERS="U1", PAY_APPROVERS="U2", PAY_APPROVALS_REQUIRED="0"))
        assert policy.rules[0].most_approvals == 0
        assert policy_of(loaded(PAY_ALLOWED_USERS="U1")).rules[0].most_approvals == 0

    def test_what_is_wrong_is_named_by_its_variable_and_never_echoed(self) -> None:
        """All at once, each with its remedy, and without the value: it might be a secret."""
        wrong = {
            "PAY_ALLOWED_USERS": "xoxb-secret,@alice,bob@example.com",
            "PAY_ALLOWED_CHANNELS": "#payments",
            "PAY_APPROVAL_CHANNEL": "U1",
            "PAY_EXPIRES_AFTER": "0s",
        }
        with pytest.raises(ConfigError) as caught:
            loaded(**wrong)
        assert [problem.where for problem in caught.value.problems] == ["PAY_ALLOWED_USERS", *wrong]
        first, second, *_ = map(str, caught.value.problems)
        assert "Copy member ID" in first
        assert "an e-mail address can change" in second
        for value in ("secret", "alice", "bob@", "#payments"):
            assert value not in str(caught.value)

    @pytest.mark.parametrize(
        ("approvers", "required", "problem"),
        [
            ("", "1", "PAY_APPROVERS: approvals are required, and nobody may give them."),
            ("U1", "1", "PAY_APPROVERS: 1 approval could never be given: nobody approves"),
            ("U1,U2", "2", "PAY_APPROVERS: 2 approvals could never be given:"),
        ],
    )
    def test_a_rule_that_can_never_be_satisfied_is_refused(
        self, approvers: str, required: str, problem: str
    ) -> None:
        """An approver who is the only requester, and the like; the variable to be changed is named."""
        with pytest.raises(ConfigError) as caught:
            policy_of(
                loaded(PAY_ALLOWED_USERS="U1", PAY_APPROVERS=approvers, PAY_APPROVALS_REQUIRED=required)
            )
        assert [str(each).startswith(problem) for each in caught.value.problems] == [True]


class TestFromAFile:
    def test_a_policy_file_is_read(self, tmp_path: Path) -> None:
        """Its rules take the place of the variables; what is wrong in it is told with its place."""
        file = tmp_path / "policy.toml"
        file.write_text('[[rule]]\nname = "all"\nrequesters = ["U1"]\n')
        policy = policy_of(loaded(PAY_POLICY_FILE=str(file)))
        assert [(rule.name, rule.requesters) for rule in policy.rules] == [("all", frozenset({"U1"}))]
        file.write_text('[[rule]]\nname = "all"\nrequesters = ["alice"]\n')
        with pytest.raises(ConfigError) as caught:
            policy_of(loaded(PAY_POLICY_FILE=str(file)))
        (problem,) = caught.value.problems
        assert problem.where == f'PAY_POLICY_FILE: {file}:3: rule "all": requesters'
        with pytest.raises(ConfigError, match="cannot be read"):
            policy_of(loaded(PAY_POLICY_FILE=str(tmp_path / "nowhere.toml")))

    def test_the_same_policy_comes_from_the_variables_and_from_a_file(self, tmp_path: Path) -> None:
        """Two ways of writing, one policy."""
        variables = {"PAY_APPROVERS": "S1", "PAY_APPROVALS_REQUIRED": "2", "PAY_EXPIRES_AFTER": "1d"}
        file = tmp_path / "policy.toml"
        file.write_text(
            '[[rule]]\nname = "default"\nrequesters = ["U1", "U2"]\napprovers = ["S1"]\n'
            'approvals = 2\nexpires_after = "1d"\n'
        )
        from_variables = policy_of(loaded(PAY_ALLOWED_USERS="U1,U2", **variables))
        assert policy_of(loaded(PAY_POLICY_FILE=str(file))) == from_variables
