"""Who may pay what, and who has to agree.

rule    one rule, and what it asks for and refuses      checks  what rules may not say together
policy  an ordered list of them: which one decides      words   a policy, said to whoever answers for it
"""

from bot.domain.policy.policy import Policy, PolicyError, Refused, Stray
from bot.domain.policy.rule import OF_AMOUNTS, Reason, Refusal, Rule, Tier

__all__ = ["OF_AMOUNTS", "Policy", "PolicyError", "Reason", "Refusal", "Refused", "Rule", "Stray", "Tier"]
