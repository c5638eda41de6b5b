"""The sandbox's page in a real browser, against the real local Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.identifiers import BOT_USER_ID
from tests.browser import PHONE, Windows, fits

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = (
    "café & <b>bold</b> <img src=x onerror='window.ran=1'> <script>window.ran=1</script> "
    "<javascript:window.ran=1|click> <svg onload='window.ran=1'>"
)


@pytest_asyncio.fixture(loop_scope="session")
async def slack() -> AsyncIterator[LocalSlack]:
    local = LocalSlack(port=0)
    await local.start()
    yield local
    await local.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, slack: LocalSlack) -> AsyncIterator[Windows]:
    opened = Windows(browser, slack)
    yield opened
    await opened.close()
    assert opened.complaints == []


def bot_posts(slack: LocalSlack, text: str, blocks: list[dict[str, object]] | None = None) -> None:
    """A message of the bot, exactly as given: nothing escapes it on its way to the page."""
    slack.world.post(slack.world.channel("payments"), BOT_USER_ID, text, blocks=blocks)


async def test_hostile_text_stays_text(slack: LocalSlack, windows: Windows) -> None:
    """Markup in a text, a block, a button or a reply is shown as typed: no element, no script, no link."""
    bot_posts(slack, HOSTILE)
    bot_posts(
        slack,
        "fallback",
        [
            {"type": "header", "block_id": "h", "text": {"type": "plain_text", "text": HOSTILE}},
            {"type": "section", "block_id": "s", "text": {"type": "mrkdwn", "text": HOSTILE}},
            {
                "type": "actions",
                "block_id": "a",
                "elements": [
                    {"type": "button", "action_id": "b", "text": {"type": "plain_text", "text": HOSTILE}}
                ],
            },
        ],
    )
    root = await slack.person("bob").says("payments", HOSTILE)
    await slack.person("carol").says("payments", HOSTILE, root.ts)

    page = await windows.open("alice")
    messages = page.get_by_test_id("message")
    await expect(messages).to_have_count(3)
    for shown in (messages.nth(0), page.locator(".block-header"), page.locator(".block-section")):
        await expect(shown).to_contain_text(HOSTILE)
    await expect(page.get_by_test_id("action-b")).to_have_text(HOSTILE)
    await expect(messages.nth(2)).to_contain_text(HOSTILE)
    await expect(page.get_by_test_id("reply-preview")).to_contain_text(HOSTILE)
    assert await page.locator("#messages :is(b, img, script, a, svg[onload])").count() == 0
    assert await page.evaluate("window.ran") is None


async def test_escaped_mentions_are_words(slack: LocalSlack, windows: Windows) -> None:
    """Entities are unescaped once: an escaped mention is its text, and an unescaped one a mention."""
    bot_posts(slack, "caf\u00e9 &amp; &lt;b&gt; &lt;!channel&gt; &amp;lt; <!channel>")
    page = await windows.open("alice")
    message = page.get_by_test_id("message")
    await expect(message).to_contain_text("café & <b> <!channel> &lt; @channel")
    await expect(message.locator(".mention")).to_have_text(["@channel"])


async def test_what_is_typed_appears_for_everybody(slack: LocalSlack, windows: Windows) -> None:
    """A message typed by one person appears on the page of another, without a reload."""
    alice, bob = await windows.open("alice"), await windows.open("bob")
    await alice.get_by_test_id("composer").fill("is <this> paid & done?")
    await alice.get_by_test_id("send").click()
    for page in (alice, bob):
        await expect(page.get_by_test_id("message")).to_contain_text("is <this> paid & done?")
    await expect(alice.get_by_test_id("composer")).to_have_value("")
    assert [message.user for message in slack.messages("payments")] == [slack.person("alice").id]


async def test_a_draft_survives_what_others_write(slack: LocalSlack, windows: Windows) -> None:
    """While messages arrive, the typed text, the cursor and the focus stay where they are."""
    page = await windows.open("alice")
    composer = page.get_by_test_id("composer")
    await composer.press_sequentially("half a sen")
    await slack.person("bob").says("payments", "sorry to interrupt")
    await expect(page.get_by_test_id("message")).to_have_count(1)
    await expect(composer).to_be_focused()
    await page.keyboard.type("tence")
    await expect(composer).to_have_value("half a sentence")


async def test_another_persons_ephemerals_are_hidden(slack: LocalSlack, windows: Windows) -> None:
    """What only Alice may see goes when one acts as Bob, and is marked when one acts as Alice."""
    channel = slack.world.channel("payments")
    slack.world.slackbot_says(channel, slack.person("alice").id, "for Alice alone")
    await slack.person("bob").says("payments", "for everybody")
    page = await windows.open("alice")
    await expect(page.get_by_test_id("ephemeral")).to_contain_text("Only visible to you")
    await expect(page.get_by_test_id("ephemeral")).to_contain_text("for Alice alone")

    await page.get_by_test_id("person-switch").select_option(slack.person("bob").id)
    await expect(page.get_by_test_id("message")).to_have_count(1)
    await expect(page.get_by_test_id("message")).to_contain_text("for everybody")
    await expect(page.get_by_text("for Alice alone")).to_have_count(0)

    await page.reload()
    await expect(page.get_by_test_id("person-switch")).to_have_value(slack.person("bob").id)


async def test_a_phone_never_scrolls_sideways(slack: LocalSlack, windows: Windows) -> None:
    """At 390 pixels even an endless word is broken, and the channels are a drawer."""
    root = await slack.person("bob").says("payments", "x" * 500)
    await slack.person("bob").says("payments", "y" * 500, root.ts)
    page = await windows.open("alice", PHONE)

    assert await fits(page)
    await page.get_by_test_id("thread-open").click()
    await expect(page.get_by_test_id("thread-panel").get_by_test_id("message")).to_have_count(2)
    assert await fits(page)
    await page.get_by_test_id("thread-close").click()
    await expect(page.get_by_test_id("channel-random")).to_be_hidden()
    await page.get_by_role("button", name="Channels").click()
    await page.get_by_test_id("channel-random").click()
    await expect(page.get_by_role("heading", name="random")).to_be_visible()
    assert await fits(page)


async def test_a_table_is_drawn_and_scrolls_by_itself(slack: LocalSlack, windows: Windows) -> None:
    """Its first row is the heading; what is in a cell stays text; the page of a phone does not widen."""
    texts = [["Invoice", "For"], ["vps 10101", HOSTILE]]
    rows: list[list[object]] = [[{"type": "raw_text", "text": text} for text in row] for row in texts]
    rich = [{"type": "rich_text_section", "elements": [{"type": "text", "text": "*20* &lt;"}]}]
    rows.append([{"type": "raw_text", "text": "vps 10102"}, {"type": "rich_text", "elements": rich}])
    settings = [{}, {"align": "right"}]
    bot_posts(
        slack, "fallback", [{"type": "table", "block_id": "t", "rows": rows, "column_settings": settings}]
    )
    page = await windows.open("alice", PHONE)
    table = page.get_by_test_id("message").get_by_role("table")
    await expect(table.get_by_role("columnheader")).to_have_text(["Invoice", "For"])
    await expect(table.get_by_role("cell")).to_have_text(["vps 10101", HOSTILE, "vps 10102", "*20* &lt;"])
    assert await fits(page)
