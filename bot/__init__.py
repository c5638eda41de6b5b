"""Pays invoices from Slack. Each part uses those below it:

- `__main__`, the command line; `setup`, `checks`, `operating` and `deploy` are groups of its commands, and
  `manifest` is one; `sandbox`, a local Slack and a local billing API around the very same bot
- `app` puts the bot together, starts and stops it; `status` shows its health and figures
- `slack` speaks with people; it decides nothing about money
- `payments` is what the bot does
- `ledger` keeps it; `billing` pays; `config` reads the settings and the policy file
- `logs` (`about`, `repeated`), `metrics`, `serving`, `options` and `leaving` serve whoever needs them
- `domain` is what a payment, an event, a command and a policy are; `errors`, `singleflight`, `clocks` and
  `redaction` are as free of the rest
"""
