"""Hypothesis without its deadline: a busy machine is slow, and that proves nothing about the domain."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
