"""The ids of the default world, so that tests and transcripts can name them.

They have the shape of Slack's: a letter for the kind, then capitals and digits.
"""

from __future__ import annotations

TEAM_ID = "T0ACME0001"
TEAM_NAME = "Acme"
TEAM_DOMAIN = "acme"
OTHER_TEAM_ID = "T0PARTNER1"
"""The organization that shares a channel with Acme; Xena belongs to it."""

ORGANIZATION_ID = "E0ACME0001"
"""What people are of who are in several workspaces."""

APP_ID = "A0PAYBOT01"
BOT_ID = "B0PAYBOT01"
BOT_USER_ID = "U0PAYBOT01"
SLACKBOT_ID = "USLACKBOT"

ALICE = "U0ALICE001"
BOB = "U0BOB00001"
CAROL = "U0CAROL001"
MALLORY = "U0MALLORY1"
GIL = "U0GIL00001"
XENA = "U0XENA0001"

PAYMENTS = "C0PAYMENTS"
RANDOM = "C0RANDOM01"
FINANCE_PRIVATE = "C0FINANCE1"
APPROVALS = "C0APPROVAL"
SHARED = "C0PARTNER1"

FINANCE_GROUP = "S0FINANCE1"
