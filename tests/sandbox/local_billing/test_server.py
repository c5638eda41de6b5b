"""The local billing API answers as NuSOAP does, and its log tells the truth about payments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import aiohttp
import pytest
from lxml import etree

from bot.sandbox.local_billing import FAILURES, Call, Failure, LocalBilling
from bot.sandbox.local_billing.books import MODULES
from bot.sandbox.local_billing.nusoap import intval
from tests.faults.billing_answers import REFERRING

ENVELOPE = (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    '<n:{operation} xmlns:n="urn:myapi">{arguments}</n:{operation}></s:Body></s:Envelope>'
)
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


@dataclass
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.body)

    def texts(self, name: str) -> list[str]:
        return [element.text or "" for element in self.root.iter(name)]

    def text(self, name: str) -> str:
        [text] = self.texts(name)
        return text


class Soap:
    """Sends envelopes, as PHP or Perl would write them."""

    def __init__(self, api: LocalBilling, session: aiohttp.ClientSession) -> None:
        self.api = api
        self.session = session
        self.url = api.wsdl_url.removesuffix("?wsdl")

    async def post(self, body: str | bytes) -> Answer:
        async with self.session.post(self.url, data=body) as response:
            return Answer(response.status, await response.read(), dict(response.headers))

    async def call(self, operation: str, *arguments: object) -> Answer:
        parts = "".join(f"<p{place}>{text}</p{place}>" for place, text in enumerate(arguments))
        return await self.post(ENVELOPE.format(operation=operation, arguments=parts))

    async def login(self) -> str:
        answer = await self.call("api_login", self.api.username, self.api.password)
        return answer.text("return")


@pytest.fixture
async def api() -> AsyncIterator[LocalBilling]:
    billing = LocalBilling()
    await billing.start()
    yield billing
    await billing.stop()


@pytest.fixture
async def soap(api: LocalBilling) -> AsyncIterator[Soap]:
    async with aiohttp.ClientSession() as session:
        yield Soap(api, session)


async def test_the_wsdl_is_the_documented_one_at_its_own_address(api: LocalBilling, soap: Soap) -> None:
    """Every operation is there, and the calls go where the WSDL came from."""
    async with soap.session.get(api.wsdl_url) as response:
        document = etree.fromstring(await response.read())
    operations = document.findall(".//{http://schemas.xmlsoap.org/wsdl/}portType/*")
    assert len(operations) == 102
    [address] = document.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == soap.url


async def test_an_answer_looks_like_nusoaps(soap: Soap) -> None:
    """rpc/encoded, with types, arrays and the encoding that NuSOAP writes."""
    sid = await soap.login()
    answer = await soap.call("api_mail_get_client_unpaid_invoices", sid)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/xml; charset=ISO-8859-1"
    text = answer.body.decode("iso-8859-1")
    assert text.startswith('<?xml version="1.0" encoding="ISO-8859-1"?><SOAP-ENV:Envelope ')
    assert 'SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"' in text
    assert "<ns1:api_mail_get_client_unpaid_invoicesResponse " in text
    assert 'SOAP-ENC:arrayType="tns:sql_row_invoices[1]"' in text
    assert '<item xsi:type="tns:sql_row_invoices"><invoices_id xsi:type="xsd:int">10301<' in text


async def test_odd_characters_survive(soap: Soap) -> None:
    """A description with Latin-1, markup and a Slack broadcast arrives as it is."""
    answer = await soap.call("api_domains_get_client_unpaid_invoices", await soap.login())
    descriptions = answer.texts("invoices_description")
    assert any(text.endswith("café & <b> <!channel>") for text in descriptions)


async def test_the_samples_offer_something_to_try(api: LocalBilling, soap: Soap) -> None:
    """Unpaid in every module but ssl, two currencies, overdue and not, cheap and dear."""
    sid = await soap.login()
    amounts: list[float] = []
    currencies: set[str] = set()
    due: list[str] = []
    for module in MODULES:
        answer = await soap.call(f"api_{module}_get_client_unpaid_invoices", sid)
        assert bool(answer.texts("invoices_id")) is (module != "ssl")
        amounts += map(float, answer.texts("invoices_amount"))
        currencies |= set(answer.texts("invoices_currency"))
        due += answer.texts("invoices_due_date")
    assert (min(amounts), max(amounts)) == (1.0, 1250.5)
    assert currencies == {"USD", "EUR"}
    today = str(date.today())  # noqa: DTZ011 -- the API writes local time without a zone
    assert min(due) < today < max(due)
    row = api.row("vps", 10101)
    assert row is not None
    assert (row["invoices_amount"], row["invoices_currency"]) == (10.0, "USD")


async def test_paying_an_invoice_settles_it(api: LocalBilling, soap: Soap) -> None:
    """It leaves the unpaid list, its row is flagged, and a payment row names it."""
    sid = await soap.login()
    answer = await soap.call("api_make_payment", sid, "vps", 10101)
    assert answer.text("status") == "ok"
    assert answer.text("status_text") == "Payment of 10.00 USD for Invoice 10101 Successful."
    assert b'<return xsi:type="tns:make_payment_return">' in answer.body
    unpaid = await soap.call("api_vps_get_client_unpaid_invoices", sid)
    assert "10101" not in unpaid.texts("invoices_id")
    everything = await soap.call("api_vps_get_client_invoices", sid)
    rows = list(
        zip(
            everything.texts("invoices_id"),
            everything.texts("invoices_type"),
            everything.texts("invoices_extra"),
            everything.texts("invoices_paid"),
            strict=True,
        )
    )
    assert ("10101", "1", "19160101", "1") in rows
    assert any(kind == "10" and extra == "10101" for _number, kind, extra, _paid in rows)
    assert api.payments_made("vps", 10101) == 1


@pytest.mark.parametrize(
    ("module", "invoice"),
    [("vps", 10105), ("vps", 1), ("mail", 10101), ("nothing", 10101), ("vps", "abc")],
)
async def test_what_cannot_be_paid_is_answered_with_the_documented_words(
    module: str, invoice: object, soap: Soap
) -> None:
    """Paid already, unknown, of another module, or no number: status error, word for word."""
    answer = await soap.call("api_make_payment", await soap.login(), module, invoice)
    assert answer.text("status") == "error"
    assert answer.text("status_text") == ("Invalid Invoice Number Passed or missing Module information.")


@pytest.mark.parametrize("text", ["10101.7", " 10101", "10101abc", "1.0101e4"])
async def test_a_number_is_read_as_leniently_as_php_does(text: str, api: LocalBilling, soap: Soap) -> None:
    """A client that does not check its numbers pays for what it did not mean."""
    answer = await soap.call("api_make_payment", await soap.login(), "vps", text)
    assert answer.text("status") == "ok"
    assert api.payments_made("vps", 10101) == 1


def test_intval() -> None:
    """As PHP 7.1 and later have it."""
    told = ["10003.7", "1e4", "10000abc", "-5", "", "abc", "true", ".5", "1e999"]
    assert [intval(text) for text in told] == [10003, 10000, 10000, -5, 0, 0, 0, 0, 0]


async def test_an_undefined_operation_is_nusoaps_fault(soap: Soap) -> None:
    """HTTP 500, SOAP-ENV:Client, and NuSOAP's words."""
    answer = await soap.call("api_no_such_thing", "x")
    assert answer.status == 500
    assert answer.text("faultcode") == "SOAP-ENV:Client"
    assert answer.text("faultstring") == (
        "Operation 'api_no_such_thing' is not defined in the WSDL for this service"
    )


@pytest.mark.parametrize(
    "body",
    ["", "hello", "<a/>", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'],
)
async def test_a_request_that_is_no_soap_is_a_fault(body: str, api: LocalBilling, soap: Soap) -> None:
    """Whatever arrives, the server answers, resolves no entity, and logs no call."""
    answer = await soap.post(body)
    assert answer.status == 500
    assert answer.text("faultcode") == "SOAP-ENV:Client"
    assert api.log == []


async def test_sessions_are_needed_and_end_on_demand(api: LocalBilling, soap: Soap) -> None:
    """32 hex digits; a wrong password gives a blank one, an unknown or expired one a fault."""
    sid = await soap.login()
    assert len(sid) == 32
    assert int(sid, 16)
    blank = await soap.call("api_login", api.username, "wrong")
    assert blank.text("return") == ""
    assert (await soap.call("api_get_prepay_remaining", sid, "vps")).text("status_text") == "0"
    api.expire_sessions()
    for dead in (sid, "0" * 32, ""):
        answer = await soap.call("api_make_payment", dead, "vps", 10101)
        assert answer.status == 500
        assert answer.text("faultstring") == "Session expired"
    assert api.payments_made("vps", 10101) == 0


async def test_the_modules_are_told_without_a_session(soap: Soap) -> None:
    """get_modules lists the ten."""
    assert tuple((await soap.call("get_modules")).texts("item")) == MODULES


async def test_every_call_is_logged_with_its_effect(api: LocalBilling, soap: Soap) -> None:
    """A second payment that arrives is in the log, whether or not the first was answered."""
    told: list[Call] = []
    api.on_call = told.append
    before = time.monotonic()
    sid = await soap.login()
    await soap.call("api_vps_get_client_unpaid_invoices", sid)
    await soap.call("api_make_payment", sid, "vps", 10101)
    await soap.call("api_make_payment", sid, "vps", 10101)
    await soap.call("api_make_payment", "dead", "vps", 10102)
    assert [(call.operation, call.sid_ok, call.effect) for call in api.log] == [
        ("api_login", True, "login"),
        ("api_vps_get_client_unpaid_invoices", True, "read"),
        ("api_make_payment", True, "paid"),
        ("api_make_payment", True, "refused"),
        ("api_make_payment", False, "nothing"),
    ]
    assert [call.at for call in api.log] == sorted(call.at for call in api.log)
    assert before <= api.log[0].at <= time.monotonic()
    assert told == api.log
    assert (api.payments_received("vps", 10101), api.payments_made("vps", 10101)) == (2, 1)
    assert (api.payments_received("vps", 10102), api.payments_made("vps", 10102)) == (1, 0)


async def test_a_client_that_follows_a_redirect_pays_twice(api: LocalBilling, soap: Soap) -> None:
    """The trap is real: the redirected call is served and counted."""
    sid = await soap.login()
    api.fail("redirect-after")
    await soap.call("api_make_payment", sid, "vps", 10101)
    assert api.payments_received("vps", 10101) == 2
    api.fail("redirect-before")
    await soap.call("api_make_payment", sid, "vps", 10102)
    assert (api.payments_received("vps", 10102), api.payments_made("vps", 10102)) == (2, 1)


async def test_a_failure_ends_after_its_times_or_when_healed(api: LocalBilling, soap: Soap) -> None:
    """`times` counts the calls that it concerns; other operations are left alone."""
    sid = await soap.login()
    api.fail("fault-before", times=2)
    assert (await soap.call("api_vps_get_client_invoices", sid)).status == 200
    for expected in (500, 500, 200):
        assert (await soap.call("api_make_payment", sid, "vps", 10101)).status == expected
    api.fail("fault-before", operation="api_vps_*")
    assert (await soap.call("api_vps_get_client_invoices", sid)).status == 500
    assert (await soap.call("api_mail_get_client_invoices", sid)).status == 200
    api.heal()
    assert (await soap.call("api_vps_get_client_invoices", sid)).status == 200


@pytest.mark.parametrize("mode", ["shouted-ok", "http-500-after", "empty-answer-after", REFERRING])
async def test_no_failure_says_of_a_payment_that_was_not_made_that_it_was(
    api: LocalBilling, soap: Soap, mode: str | Failure
) -> None:
    """What comes after a payment comes after one only: a session that ended meanwhile is answered as ever."""
    api.fail(mode)
    ended = await soap.call("api_make_payment", "0" * 32, "vps", 10101)
    assert (ended.status, ended.text("faultstring")) == (500, "Session expired")
    sid = await soap.login()
    api.fail(mode)
    nothing_to_pay = await soap.call("api_make_payment", sid, "vps", 99999)
    assert nothing_to_pay.text("status") == "error"
    assert {call.effect for call in api.log} == {"nothing", "login", "refused"}


async def test_down_refuses_connections_until_healed(api: LocalBilling, soap: Soap) -> None:
    """The port is closed, kept connections too, and afterwards the same port answers again."""
    sid = await soap.login()
    api.fail("down")
    api.fail("down")
    with pytest.raises(aiohttp.ClientConnectionError):
        await soap.call("api_make_payment", sid, "vps", 10101)
    assert api.payments_received("vps", 10101) == 0
    api.heal()
    assert (await soap.call("api_make_payment", sid, "vps", 10101)).text("status") == "ok"


async def test_it_starts_again_at_the_same_address(api: LocalBilling, soap: Soap) -> None:
    """A restart keeps the address, the invoices and the sessions."""
    sid = await soap.login()
    url = api.wsdl_url
    await api.stop()
    await api.start()
    assert api.wsdl_url == url
    assert (await soap.call("api_make_payment", sid, "vps", 10101)).text("status") == "ok"


async def test_stopping_lets_go_of_calls_that_hang(api: LocalBilling, soap: Soap) -> None:
    """A stalled call ends at once, and does not hold the server up."""
    api.fail("stall")
    hanging = asyncio.create_task(soap.call("get_modules"))
    async with asyncio.timeout(5.0):
        while not api.log:  # noqa: ASYNC110 -- the log belongs to the server
            await asyncio.sleep(0.005)
    started = time.monotonic()
    await api.stop()
    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert time.monotonic() - started < 0.9


async def test_three_hundred_calls_at_once_are_answered(api: LocalBilling, soap: Soap) -> None:
    """Many clients at the same moment all get their answer."""
    sid = await soap.login()
    for number in range(30000, 30300):
        api.add_invoice("mail", number, amount=2.5)
    answers = await asyncio.gather(
        *(soap.call("api_make_payment", sid, "mail", number) for number in range(30000, 30300))
    )
    assert {answer.text("status") for answer in answers} == {"ok"}
    assert all(api.payments_made("mail", number) == 1 for number in range(30000, 30300))


async def test_an_invoice_can_be_added_and_changed(api: LocalBilling, soap: Soap) -> None:
    """Tests bring their own invoices, and change rows under the bot; a NULL is xsi:nil."""
    row = api.add_invoice("ssl", 777, amount=5.25, currency="EUR", description="A", due_in_days=1)
    row["invoices_due_date"] = None
    answer = await soap.call("api_ssl_get_client_unpaid_invoices", await soap.login())
    assert answer.text("invoices_amount") == "5.25"
    [due] = answer.root.iter("invoices_due_date")
    assert due.get(f"{XSI}nil") == "true"
    assert api.row("ssl", 777) is row
    assert api.row("ssl", 778) is None


def test_every_failure_is_described_in_a_line() -> None:
    """The registry is what the command line prints."""
    for mode, failure in FAILURES.items():
        assert 5 < len(failure.about) < 60, mode
        assert "\n" not in failure.about
        assert mode == mode.lower()


def test_an_unknown_failure_is_refused_with_the_names(api: LocalBilling) -> None:
    """A misspelt mode does not pass for a healthy API."""
    with pytest.raises(ValueError, match="timeout-after"):
        api.fail("timeout-afterwards")
