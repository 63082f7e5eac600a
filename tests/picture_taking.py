"""A page as pictures: at the desk, on the phone and on a wide screen, in light and dark."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.started_site import ROOT

GUIDE = ROOT / "docs" / "images"
ALL = ROOT / "var" / "screenshots"
#: Width and height; each shows as much as somebody sees at once.
SIZES = {"": (1440, 1000), "_phone": (390, 844), "_wide": (2560, 1400)}
#: Higher, for pages that only people who mend them look at.
WHOLE = {"": (1440, 1600), "_phone": (390, 2200), "_wide": (2560, 1400)}
#: What the guide shows of all that is taken; it is small, because everybody who clones fetches it.
SHOWN = (
    *("library", "dataset", "train", "live", "live_phone", "completed", "previews", "versions", "compare"),
    *("use", "batch_planned", "batch_running", "activity", "analytics"),
)
#: Whether every picture that somebody sees now is there; those further down come when they are near.
SEEN = """() => [...document.images].every(
  one => one.complete || !one.getClientRects().length || one.getBoundingClientRect().top > innerHeight
)"""
QUALITY = 76
SHOWN_SIZE = (1280, 960)


def take(page: Page, name: str, sizes: dict[str, tuple[int, int]] = SIZES) -> None:
    """A page at all sizes, in light and dark; as first seen when it is opened."""
    page.emulate_media(reduced_motion="reduce")  # colours don't fade over
    for suffix, (width, height) in sizes.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(100)
            while not page.evaluate(SEEN):
                page.wait_for_timeout(50)
            full = f"{name}{suffix}{'_dark' if scheme == 'dark' else ''}"
            path = ALL / f"{full}.png"
            page.screenshot(path=path)
            if full in SHOWN:
                keep_for_the_guide(path)
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.emulate_media(color_scheme="light")


def keep_for_the_guide(path: Path) -> None:
    """As a small WebP; at the desk no higher than a screen."""
    image = Image.open(path).convert("RGB")
    if image.width > SHOWN_SIZE[0]:
        high = min(image.height, image.width * SHOWN_SIZE[1] // SHOWN_SIZE[0])
        image = image.crop((0, 0, image.width, high))
        image.thumbnail(SHOWN_SIZE, Image.Resampling.LANCZOS)
    image.save(GUIDE / f"{path.stem}.webp", quality=QUALITY, method=6)
