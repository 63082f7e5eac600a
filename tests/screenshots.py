"""Takes the pictures of every page again (``make screenshots``), from the main job on the local endpoint.

Each page and state at 1440, 390 and 2560 pixels, in light and dark, into ``var/screenshots``, to be looked
at. Those that the guide shows go to ``docs/images`` too, as small WebP.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests import main_job
from tests.chromium import ARGUMENTS, find_chromium
from tests.started_site import ROOT, Site, started

GUIDE = ROOT / "docs" / "images"
ALL = ROOT / "var" / "screenshots"
PASSWORD = "only for pictures"  # of a site that lives for minutes
#: Width and height; the narrow one is shown as far as it goes.
SIZES = {"": (1440, 1000), "_phone": (390, 844), "_wide": (2560, 1400)}
#: What the guide shows of all that is taken.
SHOWN = (
    *("library", "library_dark", "library_phone", "library_wide", "dataset", "dataset_dark"),
    *("train", "train_dark", "live", "live_dark", "live_phone", "completed", "versions", "versions_dark"),
    *("compare", "compare_dark", "use", "activity", "activity_dark", "history", "styleguide"),
    *("no_permission", "endpoint_down", "sign_in"),
)
QUALITY = 80
#: Rows that no click makes: somebody without a role, and an endpoint that is down.
TROUBLE = """
import django; django.setup()
from django.contrib.auth.models import User
from training.models import EndpointState
User.objects.create_user("nobody", password="{password}")
EndpointState.troubled("local", "Connection refused.")
"""


def main() -> None:
    """Two trainings from start to end; pictures of each page on the way, and of what may go wrong."""
    main_job.PATIENCE = 30 * 60_000  # pictures are taken on busy machines too
    shutil.rmtree(ALL, ignore_errors=True)
    ALL.mkdir(parents=True)
    GUIDE.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), "pictures", 400, ACTORTRAIN_ADMIN_PASSWORD=PASSWORD) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = main_job.open_site(browser, site, PASSWORD)
        take_the_main_job(page)
        page.goto("/health/")
        take(page, "health")
        page.goto("/account/tokens")
        take(page, "tokens")
        page.goto("/nowhere")
        take(page, "not_found")
        take_what_goes_wrong(page, site)
        stranger = browser.new_page(base_url=site.url)
        stranger.goto("/")
        take(stranger, "sign_in")
        stranger.get_by_label("Username").fill("nobody")
        stranger.get_by_label("Password", exact=True).fill(PASSWORD)
        stranger.get_by_role("button", name="Sign in").click()
        expect(stranger.get_by_role("heading", name="You may not do this")).to_be_visible()
        take(stranger, "no_permission")
        browser.close()
    taken = len(list(ALL.iterdir()))
    sys.stdout.write(f"Wrote {taken} pictures to {ALL}, and {len(SHOWN)} of them to {GUIDE}.\n")


def take_the_main_job(page: Page) -> None:
    """From the library to a good version, and back over everything that it leaves."""
    take(page, "library")
    page.goto("/actors/?view=table")
    take(page, "library_table")
    page.goto("/actors/?q=nobody")
    take(page, "library_empty")
    page.goto("/actors/2/dataset")
    while page.get_by_text("still to inspect").count():
        page.wait_for_timeout(1000)
        page.reload()
    take(page, "dataset")
    page.goto("/")
    main_job.choose_actor(page, "0000")
    take(page, "train")
    main_job.start_training(page)
    page.wait_for_selector(".strip.film >> nth=3", timeout=main_job.PATIENCE)
    take(page, "live")
    main_job.wait_until_completed(page)
    main_job.mark_good(page, "mohawk, scar and earring hold in every prompt")
    take(page, "completed")
    page.goto("/actors/0/")
    main_job.set_parameter(page, "Steps", "60")
    main_job.set_parameter(page, "LoRA rank", "8")
    main_job.start_training(page)
    main_job.wait_until_completed(page)
    addresses = {
        "versions": "/actors/0/versions",
        "compare": "/actors/0/compare?v=1&v=2",
        "use": "/actors/0/use",
        "history": "/actors/0/history",
        "activity": "/activity/",
        "styleguide": "/styleguide",
    }
    for name, address in addresses.items():
        page.goto(address)
        take(page, name)


def take_what_goes_wrong(page: Page, site: Site) -> None:
    """The endpoint is down; the connection is lost; a page breaks."""
    database = site.var / "site.sqlite3"
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "actortrain_site.settings",
        "VAR_DIR": str(site.var),
        "DATABASE_URL": f"sqlite:///{database}",
    }
    command = [sys.executable, "-c", TROUBLE.format(password=PASSWORD)]
    subprocess.run(command, cwd=ROOT, env=variables, check=True)
    page.goto("/activity/")
    take(page, "endpoint_down")
    page.context.set_offline(True)
    expect(page.get_by_text("No connection.")).to_be_visible()
    take(page, "offline")
    page.context.set_offline(False)
    with sqlite3.connect(database, timeout=20) as rows:
        rows.execute("ALTER TABLE training_endpointstate RENAME TO away")
        rows.commit()
        page.goto("/activity/")
        take(page, "error")
        rows.execute("ALTER TABLE away RENAME TO training_endpointstate")


def take(page: Page, name: str) -> None:
    """A page at all sizes, in light and dark; as first seen when it is opened."""
    for suffix, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(400)  # colours fade over, pictures come
            full = f"{name}{suffix}{'_dark' if scheme == 'dark' else ''}"
            path = ALL / f"{full}.png"
            page.screenshot(path=path)
            if full in SHOWN:
                Image.open(path).save(GUIDE / f"{full}.webp", quality=QUALITY, method=6)
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.emulate_media(color_scheme="light")


if __name__ == "__main__":
    main()
