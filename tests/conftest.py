"""What all tests share: hypothesis tries the same examples each time, however slow the machine;
pages are opened in a real browser, where there is one; Ctrl-C reaches those that are tested."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as behind an & in a script
    signal.signal(signal.SIGINT, signal.default_int_handler)

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """A headless Chromium that watches what a page does: see `open` and `complaints`."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self,
        path: Path,
        *,
        fragment: str = "",
        dark: bool = False,
        size: tuple[int, int] = (1280, 800),
    ) -> None:
        """Load a file, in a window whose inside has this size, in light or dark."""
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        self.resize(size)
        self.driver.get("about:blank")  # or another fragment of the same file would not load it
        self.driver.get(f"{path.resolve().as_uri()}{f'#{fragment}' if fragment else ''}")

    def resize(self, size: tuple[int, int]) -> None:
        """Give the inside of the window this width and height."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of JavaScript, such as "return document.title"; promises are awaited."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What a reader sees of the first element that a CSS selector finds."""
        return str(self.driver.find_element("css selector", selector).text)

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector finds."""
        self.driver.find_element("css selector", selector).click()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def address(self) -> str:
        """The fragment of the page's address, when what is shown has been written there."""
        later = "return new Promise(done => setTimeout(() => done(location.hash), 250))"
        return str(self.run(later))

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        root = "document.documentElement"
        return int(self.run(f"return {root}.scrollWidth - {root}.clientWidth"))

    def screenshot(self, path: Path) -> None:
        """Write a PNG of the window."""
        self.driver.save_screenshot(str(path))

    def complaints(self) -> list[str]:
        """What went wrong since the last call: errors on the console, and requests for anything
        but files and data that the page holds itself."""
        errors = [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE"
        ]
        requests = [
            url
            for entry in self.run(
                "return performance.getEntriesByType('resource').map(e => e.name)"
            )
            if not (url := str(entry)).startswith(("data:", "blob:"))
        ]
        return errors + requests


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the whole session; tests that need it skip where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver_path = shutil.which("chromedriver")
    if not (binary and driver_path):
        pytest.skip("needs Chromium and its driver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    yield Browser(driver)
    driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser; a test in which a page complains (see `complaints`) fails."""
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []
