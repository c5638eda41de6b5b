"""Inputs that no one thought of, led by what they reach: what is read from outside holds whatever it is.

- `targets`: what is fuzzed, and where each begins
- `billing_answers`: the SOAP answers of the billing API, byte by byte
- `commands`: the text after `/pay`
- `slack_payloads`: what Slack delivers, over HTTP and over Socket Mode, up to the desk

`python -m tests.fuzz NAME --seconds N` fuzzes one of them with atheris (`pip install atheris`); what it finds
is written to a file, and belongs among the target's `found`. The suite gives each target its seeds, what was
found, and a few hundred mutations of both.
"""
