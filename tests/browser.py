"""Debian's Chromium on the sandbox's page: a page for each person, and nothing said in the console."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.sandbox.slack import LocalSlack

LAPTOP = (1280, 800)
PHONE = (390, 844)

_MILLISECONDS = 10_000
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser. Where there is none, the tests fail and name the package: they are never left out."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("these tests drive Debian's chromium: apt-get install chromium")
    expect.set_options(timeout=_MILLISECONDS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_QUIET)
        yield browser
        await browser.close()


class Windows:
    """Opens pages on one local Slack and remembers what their consoles complained about."""

    def __init__(self, browser: Browser, slack: LocalSlack) -> None:
        self._browser = browser
        self._open = 0
        self._slack = slack
        self.complaints: list[str] = []

    async def open(self, person: str, size: tuple[int, int] = LAPTOP, channel: str = "payments") -> Page:
        """The page of a person in a channel, loaded."""
        # A tab that another one covers is drawn once a second. So each page has a context of its own, which
        # later tests use again: a new one starts with cold caches, and nothing is kept in it but those.
        if self._open == len(self._browser.contexts):
            await self._browser.new_context()
        page = await self._browser.contexts[self._open].new_page()
        self._open += 1
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        page.set_default_timeout(_MILLISECONDS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda line: self.complaints.append(line.text) if line.type in ("error", "warning") else None,
        )
        person_id, channel_id = self._slack.person(person).id, self._slack.world.channel(channel).id
        await page.goto(f"{self._slack.page_url}#person={person_id}&channel={channel_id}")
        await expect(page.get_by_test_id(f"channel-{channel}")).to_have_attribute("aria-current", "page")
        return page

    async def close(self) -> None:
        """Close every page that was opened."""
        for context in self._browser.contexts:
            for page in context.pages:
                await page.close()


async def fits(page: Page) -> bool:
    """Whether nothing on the page makes it scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
