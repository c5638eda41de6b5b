"""What the bot is told from outside: the environment and `.env` (settings), and the TOML file of rules."""

from bot.config.settings import VARIABLES, Settings, load, load_ledger, policy_of

__all__ = ["VARIABLES", "Settings", "load", "load_ledger", "policy_of"]
