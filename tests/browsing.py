"""What browser tests share: what axe says, the keyboard's way through a page, and every page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.factories import make_actor, make_version
from training.models import Status

#: More stops than any page has before its main use.
MOST_STOPS = 120


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


def every_page() -> list[str]:
    """Addresses of all pages about actors and trainings, in the states they have."""
    running = make_version(
        status=Status.TRAINING, step=90, stage="training", loss_history=[[1, 0.9], [90, 0.4]]
    )
    done = make_version(running.actor)
    failed = make_version(status=Status.FAILED, error="The worker ran out of memory. " * 9)
    make_actor(images=0)
    good = make_version(base_model="black-forest-labs/FLUX.1-dev")
    good.mark_good()
    queued = make_version(status=Status.QUEUED)
    actor = f"/actors/{done.actor_id}"
    return [
        *("/actors/", "/actors/?view=table", "/actors/?q=nobody", "/activity/", "/activity/?status=queue"),
        *("/styleguide", "/health/", "/account/tokens", "/nowhere"),
        *(f"{actor}/", f"{actor}/dataset", f"{actor}/versions", f"{actor}/history", f"{actor}/use"),
        f"{actor}/compare?v={running.number}&v={done.number}",
        f"/actors/{good.actor_id}/use",
        f"/actors/{failed.actor_id}/?learning_rate=x",
        *(version.get_absolute_url() for version in (running, done, failed, queued, good)),
    ]
