"""Small models whose pages are tested, and how those are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minitransformer.forms import Pairs
from minitransformer.tokens import Words
from minitransformer.tokens.tokeniser import OWN

WORDS = Words((*OWN.values(), "a", "b c", "<script>", "d"))
FORM = Pairs(WORDS, WORDS, max_source=7, max_target=7)
SIZES: dict[str, Any] = {"d_model": 12, "num_heads": 2, "d_ff": 16, "max_length": 7}


def opened(browser: Any, path: Path, fragment: str = "", **how: Any) -> Any:
    """A page of attention, at a fragment, once it is there."""
    browser.open(path, fragment=fragment, **how)
    wait_until(browser, "return byId('facts').children.length > 0")
    return browser


def wait_until(browser: Any, script: str) -> None:
    """Wait until JavaScript returns true, which fails after 20 seconds."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser.driver, 20, 0.02).until(lambda _: browser.run(script))
