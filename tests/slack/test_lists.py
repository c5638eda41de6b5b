"""`/pay list`, `status`, `mine` and `pending`: what they tell, to whom alone, and within Slack's limits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from bot.domain.command import Request, parse
from bot.domain.payment import DOCUMENTED_MODULES, Invoice, InvoiceRef
from bot.payments.unpaid import Listing, Unpaid
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.service import PAYMENT
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import DENY
from bot.slack.history_text import history
from bot.slack.lists import unpaid
from tests.fixture_types import StartBot
from tests.ledger.forging import forge, past_the_ledger
from tests.slack.acting import approve, asks, at_rest, card, deny, request, told
from tests.slack.scenes import check, said
from tests.slack.test_escaping import every_event


async def test_the_list_tells_what_is_unpaid(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Amount, due date, overdue marked, what is requested already; what is due first comes first."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await request(slack, bot, "vps 10102")
    listed = await asks(slack, "list vps")
    lines = listed.splitlines()
    assert lines[0] == "*4 unpaid invoices of vps · 819.99 USD*"
    assert lines[1] == ":warning: *Overdue · 1 · 120.00 USD*"
    assert lines[2].startswith("`/pay vps 10103` · *120.00 USD* · *overdue* since")
    assert lines[2].endswith(" · KVM Windows VPS 8 Slices")
    assert lines[3] == "*Due later · 3 · 699.99 USD*"
    assert [line.split("`")[1] for line in lines if line.startswith("`")] == [
        "/pay vps 10103",
        "/pay status vps 10102",
        "/pay vps 10101",
        "/pay vps 10104",
    ]
    assert lines[4].endswith("_requested already, #1_")
    everything = await asks(slack, "list")
    assert "*17 unpaid invoices · 2,563.47 USD · 61.45 EUR*" in everything
    assert ":warning: *Overdue · 5 · 1,379.50 USD · 17.50 EUR*" in everything
    assert "café &amp; &lt;b&gt; &lt;!channel&gt;" in everything
    assert "Repeat Invoice" not in everything
    newest = slack.ephemerals("alice")[-1]
    assert newest.text == everything.removesuffix("\nPay several…").replace(
        "*17 unpaid invoices · 2,563.47 USD · 61.45 EUR*", "17 unpaid invoices · 2,563.47 USD · 61.45 EUR"
    )


async def test_what_it_shows_can_be_typed(slack: LocalSlack, start_bot: StartBot) -> None:
    """Each line begins with a command that is understood as it stands."""
    await start_bot()
    listed = await asks(slack, "list")
    usages = [line.split("`")[1] for line in listed.splitlines() if line.startswith("`")]
    assert len(usages) == 17
    for usage in usages:
        assert isinstance(parse(usage.removeprefix("/pay"), DOCUMENTED_MODULES), Request)


def invoice(number: int, due: date | None, amount: str = "10.00", currency: str = "USD") -> Unpaid:
    text = f"(Repeat Invoice: {number})  MailBaby  Mail"
    return Unpaid(Invoice(InvoiceRef("mail", number), text, Decimal(amount), currency, due), None)


def test_what_is_overdue_comes_first_and_is_added_up() -> None:
    """What has no due date is not overdue; where nothing is overdue, no heading says so."""
    today = date(2026, 3, 2)
    late, later = date(2026, 3, 1), date(2026, 3, 2)
    found = Listing((invoice(1, late, "1234.5"), invoice(2, later, "0.5", "EUR"), invoice(3, None)), ())
    message = unpaid(found, None, today)
    check(message)
    assert said(message).splitlines() == [
        "*3 unpaid invoices · 1,244.50 USD · 0.50 EUR*",
        ":warning: *Overdue · 1 · 1,234.50 USD*",
        "`/pay mail 1` · *1,234.50 USD* · *overdue* since 1 Mar 2026 · MailBaby Mail",
        "*Due later · 2 · 0.50 EUR · 10.00 USD*",
        "`/pay mail 2` · *0.50 EUR* · due 2 Mar 2026 · MailBaby Mail",
        "`/pay mail 3` · *10.00 USD* · MailBaby Mail",
    ]
    assert said(unpaid(Listing((invoice(3, later),), ()), "mail", today)).splitlines() == [
        "*1 unpaid invoice of mail · 10.00 USD*",
        "`/pay mail 3` · *10.00 USD* · due 2 Mar 2026 · MailBaby Mail",
    ]


def test_what_cannot_be_added_up_is_named() -> None:
    """That nothing is unpaid would not be so; the first of many are named."""
    refs = tuple(InvoiceRef("mail", number) for number in range(1, 13))
    message = unpaid(Listing((), (), refs[:1]), "mail", date(2026, 3, 2))
    check(message)
    told = "Unpaid as well, with an amount that cannot be read: {}. Look at them in MyAdmin."
    assert said(message) == told.format("`mail 1`")
    among_others = said(unpaid(Listing((invoice(30, None),), (), refs), "mail", date(2026, 3, 2)))
    assert among_others.splitlines()[0] == "*1 unpaid invoice of mail · 10.00 USD*"
    first = ", ".join(f"`{one}`" for one in refs[:10])
    assert among_others.splitlines()[-1] == told.format(f"{first}, 2 more")


async def test_the_command_does_not_wait_for_a_slow_list(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """It is acknowledged at once; a module that cannot be read is named, and the others are shown."""
    await start_bot()
    billing.fail("slow", times=1, operation="api_vps_get_client_unpaid_invoices")
    result = await slack.person("alice").types("#payments", "/pay list vps")
    assert result.seconds < 1
    assert slack.ephemerals("alice") == []
    assert "4 unpaid invoices" in await told(slack, "alice")


async def test_what_cannot_be_read_is_named(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The other modules are listed all the same, and nothing is said to be empty that was not read."""
    await start_bot()
    billing.fail("fault-before", operation="api_mail_get_client_unpaid_invoices")
    listed = await asks(slack, "list")
    assert "*16 unpaid invoices · " in listed
    assert "Could not be read now: mail." in listed
    alone = await asks(slack, "list mail")
    assert "Could not be read now: mail." in alone
    assert "no unpaid invoice" not in alone


async def test_an_empty_list_says_so(slack: LocalSlack, start_bot: StartBot) -> None:
    """The ssl module has nothing to pay."""
    await start_bot()
    assert "There is no unpaid invoice of ssl." in await asks(slack, "list ssl")


async def test_a_long_list_keeps_slacks_limits(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Of 400 invoices with long names it shows the first, and says how many more there are."""
    for number in range(20_000, 20_400):
        billing.add_invoice("licenses", number, description="&<>" * 80)
    await start_bot()
    listed = await asks(slack, "list licenses")
    lines = [line for line in listed.splitlines() if line.startswith("`")]
    (more,) = [line for line in listed.splitlines() if line.startswith("…")]
    assert "*402 unpaid invoices of licenses · " in listed
    assert more == f"… and {402 - len(lines)} more."
    assert len(lines) > 20


async def test_the_status_tells_the_history_in_words(slack: LocalSlack, start_bot: StartBot) -> None:
    """Each step with its time and who did it; by invoice, or by the payment's number."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    asked = await request(slack, bot)
    await approve(slack, asked, "bob")
    await slack.person("mallory").clicks(asked, DENY)
    await deny(slack, asked, "carol", "too <dear>")
    await at_rest(bot)
    by_number = await asks(slack, "status 1")
    assert by_number == await asks(slack, "status vps 10101")
    steps = [line.partition("> ")[2] for line in by_number.splitlines() if line.startswith("<!date")]
    assert steps == [
        "requested by <@U0ALICE001>",
        "looked up: 10.00 USD; approvals needed: 2",
        "approved by <@U0BOB00001> (1 of 2)",
        "denied by <@U0CAROL001>: too &lt;dear&gt;",
    ]
    assert ":no_entry: Denied; nothing was paid" in by_number


async def test_the_status_of_what_was_never_asked_for(slack: LocalSlack, start_bot: StartBot) -> None:
    """It says so, and how to ask."""
    await start_bot()
    assert "Type `/pay vps 10104` to ask for it." in await asks(slack, "status vps 10104")
    assert "There is no payment #99." in await asks(slack, "status 99")


async def test_mine_are_my_own_requests(slack: LocalSlack, start_bot: StartBot) -> None:
    """With their state and a link to each card; nobody else's are among them."""
    bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.MALLORY}")
    first = await request(slack, bot, "vps 10101")
    await request(slack, bot, "vps 10102", by="mallory")
    mine = await asks(slack, "mine")
    assert f"p{first.ts.replace('.', '')}|#1 · vps invoice 10101> · 10.00 USD" in mine
    assert "10102" not in mine
    assert "You have asked for nothing yet." in await asks(slack, "mine", by="bob")


async def test_pending_marks_what_waits_for_me(slack: LocalSlack, start_bot: StartBot) -> None:
    """Not what I asked for, not what I approved before, and nothing for who approves nothing."""
    bot = await start_bot(
        PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.BOB}",
        PAY_APPROVALS_REQUIRED="2",
        PAY_APPROVERS=ids.FINANCE_GROUP,
    )
    slack.world.change_group("finance", ["bob", "carol", "mallory"])
    await request(slack, bot, "vps 10101", by="bob")
    await request(slack, bot, "vps 10102")
    assert "Waits for you" not in await asks(slack, "pending")
    for_bob = await asks(slack, "pending", by="bob")
    (marked,) = [line for line in for_bob.splitlines() if "Waits for you" in line]
    assert "#2 · vps invoice 10102" in marked
    assert "2 missing" in marked
    await approve(slack, card(slack), "bob")
    await at_rest(bot)
    after = await asks(slack, "pending", by="bob")
    assert "Waits for you" not in after
    assert "1 missing" in after


async def test_who_is_not_concerned_sees_nothing(slack: LocalSlack, start_bot: StartBot) -> None:
    """Amounts and histories are for those who may ask or approve; each refusal is in the audit trail."""
    bot = await start_bot(PAY_APPROVERS=ids.FINANCE_GROUP, PAY_APPROVALS_REQUIRED="1")
    slack.world.change_group("finance", ["bob", "carol", "gil"])
    await request(slack, bot)
    trail = (await bot.ledger.verify()).events
    for text in ("list", "list vps", "status 1", "status vps 10101", "mine", "pending"):
        refused = await asks(slack, text, by="mallory")
        assert "You are not among those who may request or approve payments." in refused
        assert "10.00" not in refused
    assert "Guests" in await asks(slack, "pending", by="gil")
    assert (await bot.ledger.verify()).events == trail + 7
    assert "10.00 USD" in await asks(slack, "pending", by="carol")


async def test_help_names_every_way(slack: LocalSlack, start_bot: StartBot) -> None:
    """What `/pay help` says is what there is; anybody may read it."""
    await start_bot()
    told_all = await asks(slack, "help", by="mallory")
    for word in ("/pay list [module]", "/pay status 42", "/pay mine", "/pay pending"):
        assert word in told_all


def test_every_event_has_words() -> None:
    """No event of the audit trail shows its internal name, save what only the trail is for."""
    wordless = {event.action for event in every_event() if not history([event])}
    assert wordless == {"refused", "paused", "resumed"}


async def test_a_month_is_summed_up(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, environment: dict[str, str]
) -> None:
    """By outcome and module, for those who may see payments."""
    bot = await start_bot()
    billing.fail("declined", times=1, operation=PAYMENT)
    for text in ("vps 10101", "vps 10102", "mail 10301", "domains 10002"):
        await request(slack, bot, text)
    told = await asks(slack, "report")
    assert "4 · 17.50 EUR · 60.99 USD*" in told
    assert ":x: *Declined; nothing was paid*: 1 · 10.00 USD" in told
    assert ":white_check_mark: *Paid*: 3 · 17.50 EUR · 50.99 USD" in told
    assert "\nvps: 1 · 49.99 USD" in told
    async with past_the_ledger(environment["LEDGER_URL"]) as engine:
        await forge(engine, "UPDATE payments SET amount = 'x' WHERE id = 2")
    assert ":warning: 1 more cannot be read" in await asks(slack, "report")
    assert await asks(slack, "report 2020-01") == "Nothing was asked for in Jan 2020."
    assert (await asks(slack, "report 2026-13")).startswith('"2026-13" is no month.')
    assert (await asks(slack, "report", by="mallory")).startswith("You are not among those")
