"""What browser tests share: what axe says, the keyboard's way through a page, and a walk over pages."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Response, expect

#: More stops than any page has before its main use.
MOST_STOPS = 120
ASK_AXE = """async options => {
  const { violations } = await axe.run(options);
  return violations.map(({ id, nodes: [first] }) => `${id}: ${first.html} ${first.failureSummary}`);
}"""


def complaints(page: Page) -> list[str]:
    """What axe finds, and whether anything is wider than the screen."""
    page.wait_for_load_state()
    found = [
        f"{violation['id']}: {violation['nodes'][0]['html']}"
        for violation in Axe().run(page).response["violations"]
    ]
    return [*found, *too_wide(page)]


def too_wide(page: Page) -> list[str]:
    """By how much the page is wider than the screen, if it is."""
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{wider} px too wide"] if wider > 0 else []


def tab_to(page: Page, target: Locator) -> None:
    """Presses Tab until the target has the focus: whoever has no mouse gets there too."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab never reaches {target}.")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Goes there by Tab and presses a key."""
    expect(target).to_be_visible()
    tab_to(page, target)
    page.keyboard.press(key)


class Walk:
    """Goes from page to page and keeps what is wrong.

    What axe finds at the desk and on the phone, in light and dark; what the console says, and with it the
    policy; files that can't be had; and whatever is wider than the screen.
    """

    DESK, PHONE = 1440, 390
    #: Near those, where nothing may need a scroll bar either.
    OTHERS = (360, 768, 2560)

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: dict[str, list[str]] = defaultdict(list)
        self._told: list[str] = []
        page.emulate_media(reduced_motion="reduce")  # colours don't fade over
        page.on("console", self._hear)
        page.on("response", self._see)

    def to(self, address: str, status: int = 200) -> None:
        """Opens a page and looks at it."""
        answer = self.page.goto(address)
        if answer and answer.status != status:
            self._told.append(f"answers {answer.status}")
        self.look(address)

    def look(self, name: str) -> None:
        """At the page as it is now."""
        self.page.wait_for_load_state()
        wrong = self.found[name]
        wrong += self._told
        self._told.clear()
        self.page.evaluate(AXE_SCRIPT)
        for width in (*self.OTHERS, self.PHONE, self.DESK):  # the desk last: so the next page is opened there
            self.page.set_viewport_size({"width": width, "height": 900})
            wrong += [f"at {width}: {each}" for each in too_wide(self.page)]
            if width not in self.OTHERS:
                for scheme in ("dark", "light"):
                    self.page.emulate_media(color_scheme=scheme)
                    wrong += [f"at {width}, {scheme}: {each}" for each in self._axe(width == self.PHONE)]
        if not wrong:
            del self.found[name]

    def forget(self) -> None:
        """What was told since the last look, on purpose."""
        self._told.clear()

    def _axe(self, by_thumb: bool) -> list[str]:
        rules = {"target-size": {"enabled": by_thumb}}
        options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "rules": rules}
        told: list[str] = self.page.evaluate(ASK_AXE, options)
        return told

    def _hear(self, message: ConsoleMessage) -> None:
        # What the browser says of an answer's status is seen below, with its address.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self._told.append(f"console: {message.text}")

    def _see(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self._told.append(f"{response.status}: {response.url}")
