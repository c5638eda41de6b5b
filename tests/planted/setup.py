"""What keeps a bot that is set up or checked from harm: secrets stay secret, and people are who was meant."""

from __future__ import annotations

from tests.planted.breaks import Break

_ENV, _PEOPLE, _COMMAND = "setup/env_file.py", "setup/people.py", "setup/command.py"

BREAKS = (
    Break(
        "a-value-is-written-that-is-read-back-as-another",
        _ENV,
        """value.replace("\\\\", "\\\\\\\\").replace("'", "\\\\'")""",
        """value.replace("'", "\\\\'")""",
        seen_by="setup:test_any_value_comes_back_and_nothing_else_changes",
    ),
    Break(
        "a-file-is-written-although-it-reads-back-wrong",
        _ENV,
        "if after.get(name) != changed.get(name, before.get(name)):",
        "if False:",
        seen_by="setup:test_what_cannot_be_read_back_is_refused",
    ),
    Break(
        "what-is-no-file-is-replaced",
        _ENV,
        "if os.path.exists(file) and not os.path.isfile(file):",
        "if False:",
        seen_by="setup:test_what_is_no_file_is_not_replaced",
        case="mkfifo",
    ),
    Break(
        "part-of-a-name-is-enough",
        _PEOPLE,
        "choices: Sequence[Named] = exact or similar(self.known, word)",
        "choices: Sequence[Named] = exact or similar(self.known, word)\n"
        "        if len(choices) == 1:\n"
        "            return choices[0].id",
        seen_by="setup:test_part_of_a_name_is_never_enough",
    ),
    Break(
        "the-first-of-two-people-of-a-name-is-taken",
        _PEOPLE,
        "if len(exact) == 1:",
        "if exact:",
        seen_by="setup:test_a_name_that_two_people_have",
    ),
    Break(
        "people-of-other-organizations-are-picked",
        "checks/of_slack.py",
        'return "belongs to another organization" if member.foreign else None',
        "return None",
        seen_by="checks:test_who_and_what_is_named_must_be_there",
        case="XENA or another",
    ),
    Break(
        "a-file-is-overwritten-without-asking",
        _COMMAND,
        "if env_file.exists() and not overwrite and _changes(draft, file_of.text_of(env_file)):",
        "if False:",
        seen_by="setup:test_a_file_that_is_there_is_changed_only_when_told_to",
    ),
    Break(
        "a-secret-is-taken-from-the-command-line",
        _COMMAND,
        "if is_secret(name, value):",
        "if False:",
        seen_by="setup:test_a_secret_is_not_taken_from_the_command_line",
        case="BILLING_PASSWORD",
    ),
    Break(
        "two-tokens-of-two-apps-are-taken",
        "slack/installation.py",
        "if None in (app, installation.app) or app == installation.app:",
        "if True:",
        seen_by="setup:test_an_app_token_of_another_app",
    ),
    Break(
        "a-token-without-a-scope-is-taken",
        "setup/tokens.py",
        "if found.missing:",
        "if False:",
        seen_by="setup:test_scopes_that_are_missing",
    ),
    Break(
        "another-programs-database-is-opened",
        "checks/of_ledger.py",
        "if must_be_one_file(file):\n        must_be_a_ledger(file)",
        "if must_be_one_file(file):\n        pass",
        seen_by="checks:test_another_programs_database_is_left_alone",
    ),
)
