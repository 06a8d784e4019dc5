"""Chromium for the tests in a real browser: where it is, its flags, and a page that is watched."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = (
    shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
NO_LIMIT = 1_000_000  # milliseconds: however busy the machine is, only pytest's timeout ends a wait


@contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """Starts Chromium, and closes it at the end."""
    expect.set_options(timeout=NO_LIMIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *flags])
        yield browser
        browser.close()


def is_error(message: ConsoleMessage) -> bool:
    """Returns whether a console message is an error; Chromium also reports refused requests."""
    is_refusal = "status of 4" in message.text and "/api/" in message.location["url"]
    return message.type in ("error", "warning") and not is_refusal


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Opens a page. At the end, no other host was contacted and no error occurred."""
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
    page.set_default_timeout(NO_LIMIT)
    requested: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    page.locator("body[data-ready]").wait_for()
    yield page
    page.close()
    assert not errors, errors
    hosts = {each.split("/")[2] for each in requested if not each.startswith(("data:", "blob:"))}
    assert hosts == {url.split("/")[2]}
