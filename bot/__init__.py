"""Pays invoices from Slack. Each part uses those below it:

- `__main__`, the command line; `sandbox`, a local Slack and a local billing API around the very same bot
- `app` puts the bot together, starts and stops it; `status` shows its health and figures
- `slack` speaks with people; it decides nothing about money
- `payments` is what the bot does
- `ledger` keeps it; `billing` pays; `config` reads the settings and the policy file
- `domain` is what a payment, an event, a command and a policy are
"""
