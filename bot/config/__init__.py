"""What the bot is told from outside, checked once; whatever is wrong is a `Problem` with its remedy.

settings     the variables of the environment and of `.env`; `names` are those that there are not
digest_line  PAY_DIGEST, which is a line of its own
dotenv_file  reads `.env`, whole or not at all
policy_file  the TOML file of rules; `lines` finds where in it something stands
rule_table   one rule: what may be written for each of its fields
values       the kinds of values, with the words for what is wrong with one; `written_ids` are those of Slack
"""

from bot.config.settings import (
    DOTENV,
    VARIABLES,
    LedgerSettings,
    Settings,
    given_in,
    load,
    load_ledger,
    names_not_read,
    policy_of,
    policy_problems,
    problem_of,
)

__all__ = [
    "DOTENV",
    "VARIABLES",
    "LedgerSettings",
    "Settings",
    "given_in",
    "load",
    "load_ledger",
    "names_not_read",
    "policy_of",
    "policy_problems",
    "problem_of",
]
