"""Debian's Chromium on the sandbox's page: a page for each person, and nothing said in the console."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright, expect

from bot.sandbox.local_slack import LocalSlack

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
    "--in-process-gpu",
    # Debian's own settings ask for a graphics card where there is none; and one process draws all pages.
    "--disable-gpu-compositing",
    "--disable-gpu-rasterization",
    "--disable-site-isolation-trials",
    "--renderer-process-limit=1",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser. Where there is none, the tests fail and name the package: they are never left out."""
    # Without what draws a window, it takes half the time.
    executable = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if executable is None:
        pytest.fail("these tests drive Debian's Chromium: apt-get install chromium-headless-shell")
    expect.set_options(timeout=_MILLISECONDS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=_QUIET)
        yield browser
        await browser.close()


class Windows:
    """Opens pages on one local Slack and remembers what their consoles complained about."""

    def __init__(self, browser: Browser, slack: LocalSlack) -> None:
        self._browser = browser
        self._pages: list[Page] = []
        self._slack = slack
        self.complaints: list[str] = []

    async def open(self, person: str, size: tuple[int, int] = LAPTOP, channel: str = "payments") -> Page:
        """The page of a person in a channel, loaded."""
        page = await self._blank()
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        page.set_default_timeout(_MILLISECONDS)
        page.on("pageerror", self._failed)
        page.on("console", self._told)
        person_id, channel_id = self._slack.person(person).id, self._slack.world.channel(channel).id
        await page.goto(f"{self._slack.page_url}#person={person_id}&channel={channel_id}")
        await expect(page.get_by_test_id(f"channel-{channel}")).to_have_attribute("aria-current", "page")
        return page

    async def close(self) -> None:
        """Leave every page that was opened."""
        for page in self._pages:
            await page.goto("about:blank")
            page.remove_listener("pageerror", self._failed)
            page.remove_listener("console", self._told)

    async def _blank(self) -> Page:
        """An empty page, which an earlier test may have used: making one costs as much as loading it.

        Each has a window to itself: a tab that another one covers is drawn once a second.
        """
        if len(self._pages) == len(self._browser.contexts):
            await (await self._browser.new_context(reduced_motion="reduce")).new_page()
        (page,) = self._browser.contexts[len(self._pages)].pages
        self._pages.append(page)
        return page

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    def _told(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.complaints.append(line.text)


async def fits(page: Page) -> bool:
    """Whether nothing on the page makes it scroll sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
