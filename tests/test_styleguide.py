"""The styleguide shows every component: a new include that it lacks fails here."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from tests.factories import make_actor

#: The side of the train page, which is made of components that are shown by themselves.
PARTS_OF_PAGES = {"before_start.html"}


@pytest.mark.django_db
def test_every_include_is_shown(admin_client: Client) -> None:
    make_actor(images=4).dataset.images.update(has_thumbnail=True)
    answer = admin_client.get("/styleguide")
    drawn = {(template.name or "").rpartition("/")[2] for template in answer.templates}
    there = {path.name for path in (settings.BASE_DIR / "templates" / "includes").iterdir()}
    assert there - drawn == PARTS_OF_PAGES
