"""Copy buttons copy what stands beside them, on a site without HTTPS too."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.factories import make_version

FLUX = "black-forest-labs/FLUX.1-dev"
#: What a page on http://studio:8000 sees; the test's own address counts as safe.
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
WATCH = "document.addEventListener('copy', () => { window.copied = String(document.activeElement.value) })"


def test_names_addresses_and_snippets_are_copied(signed_in_page: Page) -> None:
    page = signed_in_page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    # A name that begins with a digit is no CSS selector, and one that begins with "#" is a name all the same.
    version = make_version(base_model=FLUX, class_tokens="#rare 'token'")
    version.mark_good()
    page.goto(f"/actors/{version.actor_id}/use")
    for button, text in (
        ("Copy registry name", version.actor.name),
        ("Copy trigger token", "#rare 'token'"),
        ("Copy the curl snippet", "--output actor_"),
    ):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text("Copied")).to_be_visible()
        assert text in page.evaluate("navigator.clipboard.readText()")
        page.reload()


def test_without_https_it_is_copied_all_the_same(signed_in_page: Page) -> None:
    page = signed_in_page
    version = make_version()
    page.add_init_script(NO_CLIPBOARD)
    page.goto(f"/actors/{version.actor_id}/")
    page.evaluate(WATCH)
    page.get_by_role("button", name="Copy registry name").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("window.copied") == version.actor.name
    expect(page.get_by_role("button", name="Copy registry name")).to_be_focused()
