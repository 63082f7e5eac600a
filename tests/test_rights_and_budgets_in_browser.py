"""Rights and budgets in a real browser: the work by keyboard."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.fixtures import Settings

from actors import studio_time
from actors.models import RightsPolicy
from tests.factories import make_actor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\nstartxref\n9\n%%EOF\n"


def test_rights_are_recorded_by_keyboard_and_a_wrong_file_says_why(
    signed_in_page: Page, media: Path, tmp_path: Path
) -> None:
    page, actor = signed_in_page, make_actor()
    RightsPolicy.switch(required=True, by=None)
    paper = tmp_path / "release.pdf"
    paper.write_bytes(b"<html>")
    page.goto(f"/actors/{actor.pk}/")
    page.get_by_role("link", name="Open the rights").press("Enter")
    page.get_by_label("Basis").select_option("consent")
    page.get_by_label("Document").set_input_files(paper)
    page.get_by_label("Last valid day").fill((studio_time.today() + timedelta(days=400)).isoformat())
    page.get_by_role("button", name="Record").press("Enter")
    expect(page.get_by_text("This is no PDF, JPEG or PNG")).to_be_visible()
    paper.write_bytes(PDF)
    page.get_by_label("Document").set_input_files(paper)
    page.get_by_role("button", name="Record").press("Enter")
    expect(page.get_by_text("The rights are recorded.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="release.pdf").click()
    assert download.value.path().read_bytes() == PDF
    page.get_by_role("link", name="Train", exact=True).click()
    expect(page.get_by_text("No rights to this likeness")).to_have_count(0)


def test_an_admin_sets_a_ceiling_and_the_train_page_obeys(signed_in_page: Page, settings: Settings) -> None:
    settings.GPU_PRICE_PER_SECOND = 0.01
    page, actor = signed_in_page, make_actor()
    page.goto("/budgets/")
    page.get_by_label("Dollars a month").fill("0.05")
    page.get_by_role("button", name="Set the ceiling").press("Enter")
    expect(page.get_by_text("Changed: the budget of everybody.")).to_be_visible()
    page.goto(f"/actors/{actor.pk}/")
    expect(page.get_by_role("link", name="$0.00 of $0.05")).to_be_visible()
    expect(page.get_by_text("Not possible yet: The budget")).to_contain_text("$0.00 of $0.05 are used.")
    expect(page.get_by_role("button", name="Start V1")).to_have_count(0)
    page.goto("/budgets/")
    page.get_by_role("button", name="Remove the budget of everybody").press("Enter")
    page.goto(f"/actors/{actor.pk}/")
    page.get_by_role("button", name="Start V1").press("Enter")
    expect(page.get_by_text("V1 has started.")).to_be_visible()
