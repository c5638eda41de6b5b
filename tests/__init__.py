"""Tests of the bot, with its own tools to start, watch and break it."""

import sys

# Several processes at once load the same files in every run: to compile them anew takes most of that.
sys.dont_write_bytecode = False
