"""Of the WSDL only what the bot calls is loaded."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from bot.billing.wsdl import called_only

DOCUMENT = resources.files("bot.sandbox.local_billing").joinpath("myapi.wsdl").read_bytes()


def operations(document: bytes) -> set[str]:
    """The names of the operations in a WSDL."""
    return set(re.findall(r'<operation name="(\w+)"', document.decode()))


def test_what_buys_cancels_or_deletes_is_not_loaded() -> None:
    """Ten modules' two lists, the login, the modules and the payment are left of a hundred operations."""
    assert {"api_buy_license", "api_cancel_license", "api_delete_dns_domain"} <= operations(DOCUMENT)
    left = operations(called_only(DOCUMENT))
    lists = {name for name in left if name.endswith(("_get_client_invoices", "_get_client_unpaid_invoices"))}
    assert left - lists == {"api_login", "api_make_payment", "get_modules"}
    assert len(lists) == 20


def test_every_message_left_belongs_to_an_operation() -> None:
    """Each of them has a request and a response."""
    messages = re.findall(r'<message name="(\w+)"', called_only(DOCUMENT).decode())
    assert len(messages) == 2 * 23


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html><body>Service unavailable",
        b'<?xml version="1.0"?><schema xmlns="http://www.w3.org/2001/XMLSchema"/>',
        b'<?xml version="1.0"?><!DOCTYPE definitions [<!ENTITY a "b">]>'
        b'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"><operation name="api_pay"/></definitions>',
        b'<!DOCTYPE definitions SYSTEM "a.dtd"><definitions xmlns="http://schemas.xmlsoap.org/wsdl/">'
        b'<operation name="api_pay"/></definitions>',
    ],
    ids=["nothing", "no XML", "a schema", "entities", "a DTD elsewhere"],
)
def test_what_is_no_plain_wsdl_is_left_to_the_loader(document: bytes) -> None:
    """It refuses it in its own words, and must see all of it."""
    assert called_only(document) == document
