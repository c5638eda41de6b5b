"""Faults in bot/config: a restriction that is written down restricts, and no secret is echoed."""

from __future__ import annotations

from tests.planted.breaks import Break

_SETTINGS, _VALUES = "config/settings.py", "config/values.py"

BREAKS = (
    Break(
        "approvers-without-a-number-approve-nothing",
        _SETTINGS,
        "    _demand_a_number(settings)\n",
        "",
        seen_by="config:test_approvers_without_how_many_must_approve_are_refused",
    ),
    Break(
        "a-misspelt-restriction-restricts-nothing",
        _SETTINGS,
        "misspelling = [*misspelt(given, VARIABLES), *ledger_misspelt(given)]",
        "misspelling = [*ledger_misspelt(given)]",
        seen_by="config:test_a_misspelt_variable_is_refused",
    ),
    Break(
        "a-misspelt-ledger-begins-a-new-one",
        _SETTINGS,
        "misspelling = [*misspelt(given, VARIABLES), *ledger_misspelt(given)]",
        "misspelling = [*misspelt(given, VARIABLES)]",
        seen_by="config:test_a_misspelt_ledger_is_refused",
    ),
    Break(
        "an-empty-variable-lifts-what-the-file-restricts",
        _SETTINGS,
        "    return _not_blank(variables_in(path, VARIABLES)) | _not_blank(\n"
        "        os.environ if environment is None else environment\n"
        "    )\n",
        "    environment = os.environ if environment is None else environment\n"
        "    return _not_blank(variables_in(path, VARIABLES) | dict(environment))\n",
        seen_by="config:test_an_empty_one_of_the_environment_lifts_no_restriction_of_the_file",
    ),
    Break(
        "a-list-that-names-nothing-allows-everything",
        _SETTINGS,
        "    if not ids:\n",
        "    if ids is None:\n",
        seen_by="config:test_a_list_that_names_nothing_is_refused",
    ),
    Break(
        "an-empty-list-in-a-file-allows-everything",
        "config/rule_table.py",
        'fitting(bool, "an empty list would allow none", ',
        'fitting(lambda _: True, "an empty list would allow none", ',
        seen_by="config:test_a_wrong_line_is_named_with_its_rule_and_the_remedy",
    ),
    Break(
        "an-unknown-key-is-left-out",
        "config/rule_table.py",
        'extra="forbid"',
        'extra="ignore"',
        seen_by="config:test_no_setting_lets_people_approve_their_own_request",
    ),
    Break(
        "an-amount-goes-through-a-float",
        "config/policy_file.py",
        ", parse_float=_exact)",
        ")",
        seen_by="config:test_every_key_arrives_in_the_rule",
    ),
    Break(
        "secrets-travel-in-the-open",
        _VALUES,
        'if parts.scheme != "https" and parts.hostname not in',
        "if not parts.scheme and parts.hostname not in",
        seen_by="config:test_a_wrong_value_is_refused_with_its_name_and_a_remedy",
    ),
    Break(
        "a-ledger-in-memory-is-a-record",
        _VALUES,
        ' and ":memory:" not in place:',
        ":",
        seen_by="config:test_a_wrong_value_is_refused_with_its_name_and_a_remedy",
    ),
    Break(
        "a-name-is-an-id",
        "config/written_ids.py",
        "    if is_user(value) or is_group(value):\n        return value\n",
        '    if is_user(value) or is_group(value) or value.startswith("@"):\n        return value\n',
        seen_by="config:test_people_are_named_by_id_and_the_refusal_says_where_to_find_it",
    ),
    Break(
        "a-wrong-id-is-echoed",
        "config/written_ids.py",
        'raise wrong("a name, a handle or a mention is not an id", _FIND_PRINCIPAL)',
        'raise wrong(f"{value} is not an id", _FIND_PRINCIPAL)',
        seen_by="config:test_no_value_is_ever_echoed",
    ),
    Break(
        "an-address-that-is-read-in-two-ways-is-taken",
        _VALUES,
        "return there and _is_read_in_one_way(parts.netloc, address)",
        "return there",
        seen_by="test_logs:test_the_password_that_the_driver_reads_is_known",
    ),
)
