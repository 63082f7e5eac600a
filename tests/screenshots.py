"""Takes the pictures of the guide again (``make screenshots``), from the main job on the local endpoint."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import main_job
from tests.chromium import ARGUMENTS, find_chromium
from tests.started_site import ROOT, started

FOLDER = ROOT / "docs" / "images"
PASSWORD = "only for pictures"  # of a site that lives for five minutes


def main() -> None:
    """One training from start to end; a picture of each page on the way."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), "pictures", ACTORTRAIN_ADMIN_PASSWORD=PASSWORD) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = main_job.open_site(browser, site, PASSWORD)
        phone = main_job.open_site(browser, site, PASSWORD, width=390, height=844)
        main_job.picture(page, FOLDER, "library")
        page.goto("/actors/2/dataset")
        while page.get_by_text("still to inspect").count():
            page.wait_for_timeout(1000)
            page.reload()
        main_job.picture(page, FOLDER, "dataset")
        page.goto("/")
        main_job.choose_actor(page, "0000")
        main_job.picture(page, FOLDER, "train")
        main_job.start_training(page)
        page.wait_for_selector(".strip.film >> nth=3", timeout=main_job.PATIENCE)
        main_job.picture(page, FOLDER, "live")
        phone.goto(page.url)
        main_job.picture(phone, FOLDER, "live_phone")
        main_job.wait_until_completed(page)
        main_job.mark_good(page, "mohawk, scar and earring hold in every prompt")
        main_job.picture(page, FOLDER, "completed")
        page.goto("/actors/0/versions")
        main_job.picture(page, FOLDER, "versions")
        page.goto("/activity/")
        main_job.picture(page, FOLDER, "activity")
        browser.close()
    sys.stdout.write(f"Wrote {len(list(FOLDER.glob('*.png')))} pictures to {FOLDER}.\n")


if __name__ == "__main__":
    main()
