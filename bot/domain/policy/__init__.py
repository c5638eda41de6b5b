"""Who may pay what, and who has to agree: a `Policy` of ordered `Rule`s, its checks, and its words."""

from bot.domain.policy.policy import Policy, PolicyError
from bot.domain.policy.rule import Reason, Refusal, Rule, Tier

__all__ = ["Policy", "PolicyError", "Reason", "Refusal", "Rule", "Tier"]
