"""Mutants that no test can see, as they do the same as the source; each with the reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Same:
    """In this function, `instead` in the place of `text` changes nothing. file: under bot/."""

    file: str
    function: str
    text: str
    instead: str
    why: str


_INVOICES, _WORDING = "domain/typed_invoices.py", "domain/wording.py"
_ONLY_ITS_NUMBER = "of what is read only a number is used, and the text is thrown away"
_AT_TWO = "an amount of two decimals is written the same in both ways"
_IF_ANY = "only whether there are any is asked"
_READING, _LIST = "billing/reading.py", "billing/list_answer.py"
_WIRE, _CALLS = "billing/wire.py", "billing/calls.py"
_DATABASE, _OUTBOX = "ledger/database.py", "ledger/outbox.py"
_ANNOUNCER = "slack/announcer.py"
_VETTED = "what zeep reads was vetted before, and refused for that"
_IN_ORDER = "it was written in that order, and no key of it changes"
_LOGGED = "only people read it, in the log"
_WHEN_FORGOTTEN = "a cursor that nobody has any more is closed anyway"

EQUIVALENT = (
    Same(_INVOICES, "_explain_order", '"an invoice number"', '"XXan invoice numberXX"', _ONLY_ITS_NUMBER),
    Same(_INVOICES, "_named", "> 1", "> 2", "of two words, all but the last is the first"),
    Same(_INVOICES, "close_name", "n=1", "n=2", "only the first of them is looked at"),
    Same(_INVOICES, "close_name", "n=1", "", "only the first of them is looked at"),
    Same("domain/near_commands.py", "instead_of", 'else ""', 'else "XXXX"', "neither is a number"),
    Same(_WORDING, "money", "> -2", ">= -2", _AT_TWO),
    Same(_WORDING, "money", "> -2", "> -3", _AT_TWO),
    Same(_READING, "_ref", "number is None", "(number is None) and False", "no reference has that number"),
    Same(_READING, "_whole", '""', '"XXXX"', "neither is a number"),
    Same(_READING, "_whole_or_boolean", '""', '"XXXX"', "neither is a boolean"),
    Same(
        _READING, "module_names", "_ref(name, 1)", "_ref(name, 2)", "any number tells whether the name is one"
    ),
    Same(_READING, "_amount", "> 2", ">= 2", "of two decimals it is the same when it is cut to two"),
    Same(
        "billing/verdicts.py",
        "innermost",
        "if isinstance(error, of_urllib3.MaxRetryError):",
        "if (isinstance(error, of_urllib3.MaxRetryError)) or True:",
        "no other has a reason that is an exception",
    ),
    Same(_LIST, "_ListAnswer._add_row", "strange += 1", "strange += 2", _IF_ANY),
    Same(_LIST, "_ListAnswer._add_row", "strange += 1", "strange -= 1", _IF_ANY),
    Same(_WIRE, "_Adapter.__init__", "max_retries=0", "", "it is the default of requests, which may change"),
    Same(_CALLS, "BillingCalls.__init__", "maxlen=SESSIONS_REDACTED", "", "it only bounds the memory"),
    Same(_CALLS, "BillingCalls.__init__", "=SESSIONS_REDACTED", "=None", "it only bounds the memory"),
    Same(_CALLS, "BillingCalls._loaded", "forbid_dtd=True, ", "", _VETTED),
    Same(_CALLS, "BillingCalls._loaded", "forbid_dtd=True", "forbid_dtd=None", _VETTED),
    Same(_CALLS, "BillingCalls._loaded", "forbid_dtd=True", "forbid_dtd=False", _VETTED),
    Same(_CALLS, "BillingCalls._loaded", "strict=True", "strict=False", _VETTED),
    Same(_CALLS, "BillingCalls._loaded", 'or ""', 'or "XXXX"', "neither is an address"),
    Same(_DATABASE, "engine_for", "max_overflow=0, ", "", "it only bounds how many connections there are"),
    Same(_DATABASE, "_wait_for_sqlite", "cursor.close()", "pass", _WHEN_FORGOTTEN),
    Same(_DATABASE, "_prepare_sqlite", "cursor.close()", "pass", _WHEN_FORGOTTEN),
    Same("domain/erasure.py", "without_people", "sort_keys=True", "sort_keys=False", _IN_ORDER),
    Same("domain/erasure.py", "without_people", ", sort_keys=True)", ", )", _IN_ORDER),
    Same("payments/authority.py", "Authority.choice_of", '""', '"XXXX"', "no channel has that name"),
    Same(
        "payments/alarms.py",
        "Alarms._login",
        'Topic.REFUSED, "login"',
        'Topic.REFUSED, "XXloginXX"',
        "any word tells it from others, as long as it is one",
    ),
    Same("ledger/audit.py", "digest", '"T", 1)', '"T", 2)', "a time has one blank"),
    Same(
        "ledger/backup.py",
        "_copy",
        "check_same_thread=False",
        "",
        "Python asks it of the connection that is copied from, and not yet of this one",
    ),
    Same("ledger/new_file.py", "new_file", "_flush(target.parent)", "pass", "only a power cut would tell"),
    Same("ledger/open_files.py", "OpenFiles.note", "cursor.close()", "pass", _WHEN_FORGOTTEN),
    Same("ledger/given_session.py", "first_answer", "cursor.close()", "pass", _WHEN_FORGOTTEN),
    Same("ledger/exported.py", "check", "[:11]", "[:12]", "only the first eleven are read"),
    Same(
        "ledger/ledger_file.py",
        "must_be_a_ledger",
        ", uri=True)",
        ", )",
        "SQLite may be built to take addresses anyway, as it is where this is run",
    ),
    Same("ledger/pruning.py", "anything", '"", "")', '"", "XXXX")', "nothing is erased by it"),
    Same("ledger/pruning.py", "anything", '"", "")', '"XXXX", "")', "nothing is erased by it"),
    Same("ledger/pruning.py", "Pruning.requests", "> after", ">= after", "what was erased is due no more"),
    Same(
        "ledger/transaction.py",
        "Transaction.insert",
        "index_elements=[requests.c.trigger_id]",
        "index_elements=None",
        "under the lock that it has, nothing else of it can be there",
    ),
    Same(_OUTBOX, "Outbox.__init__", "left = True", "left = False", "a claim sets it before it is read"),
    Same(
        _OUTBOX,
        "Outbox.claim_with",
        "self._alone or limit",
        "self._alone and limit",
        "one that is alone in its request has none behind it: it only spares the question",
    ),
    Same(
        _OUTBOX,
        "Outbox._lock_request",
        "if self._sqlite:",
        "if (self._sqlite) and False:",
        "SQLite has one writer at a time, and locks no rows",
    ),
    Same(_ANNOUNCER, "Announcer._leave", "if left:", "if (left) or True:", "nothing is written for none"),
    Same(_ANNOUNCER, "_log_later", "wait=wait", "wait=None", _LOGGED),
    Same(_ANNOUNCER, "_log_later", "wait=wait", "", _LOGGED),
    Same(_ANNOUNCER, "Announcer._look_again", '"not known yet"', '"XXnot known yetXX"', _LOGGED),
    Same(_ANNOUNCER, "Announcer._later", '"not delivered yet"', '"XXnot delivered yetXX"', _LOGGED),
    Same(_ANNOUNCER, "Announcer._send", '""', '"XXXX"', "Slack is asked at least once, and says why"),
    Same(
        _ANNOUNCER,
        "Announcer.poll_once",
        "if self.pool.free <= 0:",
        "if (self.pool.free <= 0) and False:",
        "where no place is free none is claimed either: it only spares the question",
    ),
    Same(
        _LIST, "_ListAnswer.start", "None and self._open", "None or self._open", "of two kids it is no list"
    ),
)
