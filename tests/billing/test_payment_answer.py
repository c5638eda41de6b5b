"""The answer of a payment: only one that cannot be read in two ways is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.billing.markup import MarkupRefused
from bot.billing.payment_answer import require_one_meaning
from bot.domain.payment import Outcome, Verdict
from bot.sandbox.local_billing import nusoap
from tests.billing.conftest import VPS
from tests.billing.scripted import PASSWORD, PAY, Scripted, envelope, outcome, scripted

OK, ERROR = '<status xsi:type="xsd:string">ok</status>', '<status xsi:type="xsd:string">error</status>'
TEXT = '<status_text xsi:type="xsd:string">As told.</status_text>'
END = "</SOAP-ENV:Body>"


def answer(fields: str, *, name: str = "ns1:api_make_paymentResponse", after: str = "") -> str:
    """An answer with these fields in its return value."""
    value = f'<return xsi:type="tns:make_payment_return">{fields}</return>'
    return response(value, name=name, after=after)


def response(value: str, *, name: str = "ns1:api_make_paymentResponse", after: str = "") -> str:
    return envelope(f'<{name} xmlns:ns1="urn:myapi">{value}</{name}>{after}').decode()


def part(identity: str, value: str, attributes: str = "") -> str:
    return f'<multiRef id="{identity}" {attributes}>{value}</multiRef>'


FAULT = "<SOAP-ENV:Fault><faultcode>x</faultcode><faultstring>y</faultstring></SOAP-ENV:Fault>"
RESPONSE = answer(ERROR + TEXT).partition("<SOAP-ENV:Body>")[2].partition(END)[0]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account() -> AsyncIterator[tuple[Scripted, BillingClient]]:
    """A server, and a client that has loaded its WSDL. Each test writes what a payment is answered."""
    async with scripted() as server:
        client = BillingClient(wsdl_url=server.url, username="somebody", password=SecretStr(PASSWORD))
        yield server, client
        await client.close(grace=5.0)


@pytest.fixture
def server(account: tuple[Scripted, BillingClient]) -> Scripted:
    account[0].received.clear()
    return account[0]


@pytest.fixture
def client(account: tuple[Scripted, BillingClient]) -> BillingClient:
    return account[1]


CONTRADICTING = {
    "error, then ok": answer("<status>error</status><status>ok</status>" + TEXT),
    "ok, then error": answer("<status>ok</status><status>error</status>" + TEXT),
    "a word before its fields, and a line's end after them": answer("X" + ERROR + TEXT + "\n"),
    "error twice": answer(ERROR + ERROR + TEXT),
    "two texts": answer(ERROR + TEXT + TEXT),
    "a status in another namespace": answer(f'{OK}<x:status xmlns:x="urn:x">error</x:status>{TEXT}'),
    "a status in other letters": answer(f"{ERROR}<Status>ok</Status>{TEXT}"),
    "an element in the status": answer("<status>error<b>ok</b></status>" + TEXT),
    "an element in the text": answer(ERROR + "<status_text>No<b>t paid</b></status_text>"),
    "an instruction in the status": answer("<status>error<?x y?> in the log only: ok</status>" + TEXT),
    "an instruction in the text": answer(ERROR + "<status_text>a<?x y?>b</status_text>"),
    "nil with a value": answer('<status xsi:nil="true">error</status>' + TEXT),
    "nil as a number": answer('<status xsi:nil="1">ok</status>' + TEXT),
    "null of the older schema": answer(
        '<status xmlns:o="http://www.w3.org/1999/XMLSchema-instance" o:null="1">ok</status>' + TEXT
    ),
    "a return value that is nil": response(f'<return xsi:nil="true">{ERROR}{TEXT}</return>'),
    "a reference to nothing": answer('<status href="#gone">error</status>' + TEXT),
    "an empty reference to nothing": answer(f'{ERROR}<status_text href="#gone"/>'),
    "a reference to elsewhere": answer('<status href="http://127.0.0.1:1/">error</status>' + TEXT),
    "a reference beside a value": answer(
        f'<status href="#s">ok</status>{TEXT}', after=part("s", "error", 'xsi:type="xsd:string"')
    ),
    "a reference that is nil": answer(
        f'<status href="#s" xsi:nil="true"/>{TEXT}', after=part("s", "error", 'xsi:type="xsd:string"')
    ),
    "what is referred to is nil": answer(
        f'<status href="#s"/>{TEXT}', after=part("s", "error", 'xsi:nil="true" xsi:type="xsd:string"')
    ),
    "what is referred to holds an element": answer(
        f'<status href="#s"/>{TEXT}', after=part("s", "error<b>ok</b>", 'xsi:type="xsd:string"')
    ),
    "what is referred to holds two": response(
        '<return href="#r"/>', after=part("r", ERROR + OK + TEXT, 'xsi:type="tns:make_payment_return"')
    ),
    "one id twice": answer(
        f'<status href="#s"/>{TEXT}', after=part("s", "error", 'xsi:type="xsd:string"') + part("s", "ok")
    ),
    "one id twice, once inside": answer(
        '<status href="#s"/><status_text id="s">ok</status_text>', after=part("s", "error")
    ),
    "a reference to the answer": answer(f'<status href="#r"/>{TEXT}').replace(
        "Response xmlns", 'Response id="r" xmlns'
    ),
    "two responses": answer(OK + TEXT, after=RESPONSE),
    "two responses, one with an id": answer(OK + TEXT, after=RESPONSE.replace(" ", ' id="r" ', 1)),
    "a fault after the response": answer(ERROR + TEXT, after=FAULT),
    "a fault before the response": envelope(FAULT + RESPONSE).decode(),
    "a part before the response": envelope(part("s", f"<return>{OK}{TEXT}</return>") + RESPONSE).decode(),
    "two bodies": answer(OK + TEXT).replace(END, f"{END}<SOAP-ENV:Body>{RESPONSE}{END}"),
    "a foreign body": answer(OK + TEXT).replace(END, f'{END}<b:Body xmlns:b="urn:b">{RESPONSE}</b:Body>'),
    "two return values": response(f"<return>{OK}{TEXT}</return><return>{ERROR}{TEXT}</return>"),
    "the answer of a login": answer(OK + TEXT, name="ns1:api_loginResponse"),
    "the answer of another operation": answer(ERROR + TEXT, name="ns1:api_cancel_licenseResponse"),
    "the name of the request": answer(ERROR + TEXT, name="ns1:api_make_payment"),
    "text beside the fields": answer(f"{ERROR}{TEXT}but it was paid"),
    "text beside the return value": answer(ERROR + TEXT).replace("</return>", "</return>but it was paid"),
    "text beside the response": answer(ERROR + TEXT).replace(END, f"but it was paid{END}"),
    "text beside the body": answer(ERROR + TEXT).replace(END, f"{END}but it was paid"),
    "another field": answer(f"{ERROR}{TEXT}<paid>1</paid>"),
}  # fmt: skip


@pytest.mark.parametrize("what", CONTRADICTING)
async def test_an_answer_that_says_two_things_leaves_a_payment_unknown(
    what: str, server: Scripted, client: BillingClient
) -> None:
    """Neither `ok` nor `error`: after an error it may be paid again, after an ok nobody looks."""
    server.answers[PAY] = CONTRADICTING[what].encode()
    told = await client.make_payment(VPS)
    assert (told.verdict, told.status, told.status_text) == (Verdict.UNKNOWN, None, None), told
    assert server.received.count(PAY) == 1


@pytest.mark.parametrize("what", CONTRADICTING)
async def test_it_is_refused_before_anybody_reads_it(what: str) -> None:
    """By the look at it alone, whatever zeep would have made of it."""
    with pytest.raises(MarkupRefused):
        require_one_meaning(CONTRADICTING[what].encode())


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (answer(OK), None),
        (answer(""), None),
        (envelope(FAULT).decode(), None),
        (envelope("").decode(), "not that of a payment"),
        (envelope(FAULT + FAULT).decode(), "more than one response"),
        (envelope(FAULT + part("s", "x")).decode(), "not that of a payment"),
        (response(""), "not one return value"),
        (answer(OK + TEXT, after=part("s", "x").replace("multiRef", "single")), "more than one response"),
        (answer(OK + TEXT, after="<multiRef>x</multiRef>"), "more than one response"),
        (answer(OK + TEXT, after=part("s", "", 'href="#s"')), "more than one response"),
        (answer(OK + TEXT, after=part("s", "x") + part("t", "y")), None),
        (answer(f'<status href="s"/>{TEXT}', after=part("s", "ok")), "refers to what is not in it"),
        (response('<return href="#r"/>', after=part("r", "ok")), "a text in place of a status"),
        (answer(f'<status href="xs"/>{TEXT}', after=part("s", "ok")), "refers to what is not in it"),
        (answer("<status><b>ok</b></status>"), "elements in its status"),
        (answer('<status href="#s"/>', after=part("s", "<b>ok</b>")), "elements in its status"),
        (answer('<status xsi:nil="0">ok</status>'), None),
        (answer('<status xsi:nil=" false ">ok</status>'), None),
        (answer(OK).replace("SOAP-ENV:Envelope", "Other"), "no SOAP envelope"),
        (
            answer(OK).replace(
                "<SOAP-ENV:Body>",
                '<SOAP-ENV:Header><x href="#x"/></SOAP-ENV:Header><SOAP-ENV:Body>',
            ),
            "refers to what is not in it",
        ),
        (answer("<status/>"), None),
        (answer(OK)[:-1], "not XML that can be read"),
        (answer(OK).replace("schemas.xmlsoap.org/soap/envelope", "x"), "no SOAP envelope"),
        (answer(OK).replace("<SOAP-ENV:Body>", "<SOAP-ENV:Body/><SOAP-ENV:Body>"), "no SOAP envelope"),
        (answer(OK).replace("<SOAP-ENV:Body>", "<SOAP-ENV:Head/><SOAP-ENV:Body>"), "no SOAP envelope"),
    ],
)
async def test_each_way_to_say_two_things_has_its_name(document: str, why: str | None) -> None:
    """And what says one thing is let through, one without a status as well."""
    if why is None:
        require_one_meaning(document.encode())
        return
    with pytest.raises(MarkupRefused, match=why):
        require_one_meaning(document.encode())


GOOD = {
    "NuSOAP's own": outcome("error", "As told.").decode(),
    "in another namespace": answer(ERROR + TEXT).replace("urn:myapi", "urn:other"),
    "in no namespace": answer(ERROR + TEXT, name="api_make_paymentResponse"),
    "with comments": answer("<status>er<!-- ok -->ror</status><!-- ok -->" + TEXT),
    "with CDATA": answer("<status>er<![CDATA[ror]]></status>" + TEXT),
    "on many lines": answer(f"\n {ERROR}\n {TEXT}\n").replace("><", ">\n<"),
    "with a header": answer(ERROR + TEXT).replace("<SOAP-ENV:Body>", "<SOAP-ENV:Header/><SOAP-ENV:Body>"),
    "said not to be nil": answer('<status xsi:nil="false">error</status>' + TEXT),
    "with its status elsewhere": answer(
        f'<status href="#s"/>{TEXT}', after=part("s", "error", 'xsi:type="xsd:string"')
    ),
    "all of it elsewhere": response(
        '<return href="#r"/>',
        after=part("r", '<status href="#s"/>' + TEXT, 'xsi:type="tns:make_payment_return"')
        + part("s", "error", 'xsi:type="xsd:string"'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GOOD)
@pytest.mark.parametrize("said", ["ok", "error"])
async def test_an_answer_that_says_one_thing_is_read(
    said: str, what: str, server: Scripted, client: BillingClient
) -> None:
    """However it is written."""
    text = GOOD[what] if said == "error" else GOOD[what].replace(">er", ">o").replace("ror", "k")
    server.answers[PAY] = text.encode()
    told = await client.make_payment(VPS)
    expected = Verdict.PAID if said == "ok" else Verdict.DECLINED
    assert told == Outcome(expected, said, "As told.", f"answered with status {said}", answered=True)


@pytest.mark.parametrize("fields", [TEXT, "<status/>" + TEXT, '<status xsi:nil="true"/>' + TEXT])
async def test_an_answer_without_a_status_is_unknown_and_its_text_is_kept(
    fields: str, server: Scripted, client: BillingClient
) -> None:
    """It is all that a person will have to go by."""
    server.answers[PAY] = answer(fields).encode()
    told = await client.make_payment(VPS)
    assert (told.verdict, told.status_text) == (Verdict.UNKNOWN, "As told.")


async def test_a_fault_stays_a_fault(server: Scripted, client: BillingClient) -> None:
    """It says nothing about the payment, but what it is is told."""
    server.answers[PAY] = nusoap.fault("No", "SOAP-ENV:Server")
    told = await client.make_payment(VPS)
    assert (told.verdict, told.evidence) == (Verdict.UNKNOWN, "Fault: the API answered with a fault")


@pytest.mark.parametrize("status", [201, 202, 302, 307, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("word", ["ok", "error"])
async def test_under_another_http_status_no_body_says_anything(
    server: Scripted, client: BillingClient, status: int, word: str
) -> None:
    """A gateway speaks then, or nobody knows who: its `error` must not let an invoice be paid again."""

    async def say(_request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.Response(status=status, body=outcome(word, "As told."), content_type="text/xml")

    server.answers[PAY] = say
    told = await client.make_payment(VPS)
    assert told.verdict is Verdict.UNKNOWN
    # One that may be a fault is read; of any other not even the body is.
    assert told.evidence.startswith("Fault" if status == 500 else f"UnexpectedStatus: HTTP status {status}")
    assert [one for one in server.received if one == PAY] == [PAY], "it is not sent again"


async def test_what_was_looked_at_is_what_is_read(server: Scripted, client: BillingClient) -> None:
    """The whole, and no part that a text or a comment hides, whatever the headers say."""
    hidden = outcome("ok", "Hidden.").decode().partition("?>")[2]
    parts = f"\r\n--x\r\nContent-Type: text/xml\r\n\r\n{hidden}\r\n--x--\r\n"
    body = answer(f"{ERROR}<status_text><![CDATA[{parts}]]></status_text>")

    async def in_parts(request: web.Request, _body: bytes) -> web.StreamResponse:
        headers = {"Content-Type": 'multipart/related; boundary="x"; type="text/xml"'}
        return web.Response(body=body.encode(), headers=headers)

    server.answers[PAY] = in_parts
    assert (await client.make_payment(VPS)).verdict is Verdict.DECLINED
