"""Takes the pictures of every page again (``make screenshots``); ``studio`` or ``job`` takes only those.

The main job is done on a started site and its local endpoint, with real trainings; every other page and state
is that of a furnished studio. All go to ``var/screenshots``, to be looked at; those that the guide shows
go to ``docs/images`` too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import main_job
from tests.chromium import ARGUMENTS, find_chromium
from tests.picture_taking import ALL, GUIDE, SHOWN, WHOLE, take
from tests.served_site import serve
from tests.started_site import ROOT, Site, started

PASSWORD = "only for pictures"  # of a site that lives for minutes
#: Rows that no click makes: somebody without a role, and an endpoint that is down.
TROUBLE = """
import django; django.setup()
from django.contrib.auth.models import User
from training.models import EndpointState
User.objects.create_user("nobody", password="{password}")
EndpointState.troubled("local", "Connection refused.")
"""
#: A studio that has worked for a month; nothing runs behind it, so its states stay as they are.
FURNISH = """
import json
import django; django.setup()
from pathlib import Path
from django.contrib.auth.models import User
from django.core.management import call_command
from actortrain_site.preparation import collect_static
from tests.every_page import addresses, states
from tests.furnished import furnish
call_command("migrate", verbosity=0)
collect_static()
admin = User.objects.create_superuser("admin", "admin@studio.test", "{password}", first_name="Ada")
studio = furnish(admin, pixels=320, crowd=44, trainings=90)
found = [addresses(studio, public=True), addresses(studio, public=False) | states(studio)]
Path("{found}").write_text(json.dumps(found))
print("furnished")
"""


def main() -> None:
    """All pages of a furnished studio; then two trainings from start to end, and what may go wrong."""
    main_job.PATIENCE = 30 * 60_000  # pictures are taken on busy machines too
    os.environ |= {"GPU_PRICE_PER_SECOND": "0.0009", "WORKER_START_SECONDS": "20"}
    parts = sys.argv[1:] or ["studio", "job"]
    if len(parts) > 1:
        shutil.rmtree(ALL, ignore_errors=True)
    for folder in (ALL, GUIDE):
        folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        if "studio" in parts:
            take_a_furnished_studio(browser)
        if "job" in parts:
            take_a_started_site(browser)
        browser.close()
    taken = len(list(ALL.iterdir()))
    sys.stdout.write(f"Wrote {taken} pictures to {ALL}, and {len(SHOWN)} of them to {GUIDE}.\n")


# A furnished studio


def take_a_furnished_studio(browser: Browser) -> None:
    """Every page for strangers, then every page and state for an admin."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "addresses.json"
        with serve(Path(folder), 0, setup=FURNISH.format(password=PASSWORD, found=found)) as site:
            for_strangers, for_people = json.loads(found.read_text())
            page = browser.new_context(base_url=site.url).new_page()
            for name, address in for_strangers.items():
                take_address(page, name, address)
            page.goto("/")
            sign_in(page, "admin")
            expect(page.get_by_role("heading", name="Library")).to_be_visible()
            for name, address in for_people.items():
                take_address(page, name, address)
            take_what_opens(page)


def take_address(page: Page, route: str, address: str) -> None:
    """A page by its address; a route's picture is named by its words."""
    page.goto(address)
    name = re.sub(r"<[^>]*>|\(\?P[^)]*\)", "one", route)
    take(page, re.sub(r"\W+", "_", name).strip("_"), WHOLE)


def take_what_opens(page: Page) -> None:
    """Floats: they belong to a page, and no address leads to them."""
    page.goto("/actors/")
    page.get_by_role("button", name="Ada, account").click()
    take(page, "open_account", WHOLE)
    page.keyboard.press("Escape")
    page.get_by_label(re.compile("^Select ")).first.check()
    take(page, "open_selection", WHOLE)


def sign_in(page: Page, name: str) -> None:
    page.get_by_label(re.compile("^Username")).fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


# The main job


def take_a_started_site(browser: Browser) -> None:
    """Real trainings on the local endpoint."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started(Path(folder), "pictures", 400, ACTORTRAIN_ADMIN_PASSWORD=PASSWORD) as site,
    ):
        page = main_job.open_site(browser, site, PASSWORD)
        take_the_main_job(page)
        take_what_goes_wrong(page, site)
        stranger = browser.new_page(base_url=site.url)
        stranger.goto("/")
        sign_in(stranger, "nobody")
        expect(stranger.get_by_role("heading", name="You may not do this")).to_be_visible()
        take(stranger, "no_permission")


def take_the_main_job(page: Page) -> None:
    """From the library to a good version, and back over everything that it leaves."""
    take(page, "library")
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
    take_previews(page)
    page.goto("/actors/0/")
    main_job.set_parameter(page, "Steps", "60")
    main_job.set_parameter(page, "LoRA rank", "8")
    main_job.start_training(page)
    main_job.wait_until_completed(page)
    page.goto("/actors/0/versions")
    while page.get_by_text("Likeness not measured yet").count():
        page.wait_for_timeout(2000)
        page.reload()
    take(page, "versions")
    for name in ("compare?v=1&v=2", "use"):
        page.goto(f"/actors/0/{name}")
        take(page, name.split("?")[0])


def take_previews(page: Page) -> None:
    """The standard set, which is drawn by itself when a version is completed."""
    page.goto("/trainings/1/previews")
    page.get_by_role("link", name="Standard: drawn portraits").first.click()
    expect(page.locator(".preview-state")).to_contain_text("Done", timeout=main_job.PATIENCE)
    take(page, "previews")


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


if __name__ == "__main__":
    main()
