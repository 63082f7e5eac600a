"""A training's page beside the numbers, and what the list of all trainings adds."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.factories import make_actor, make_version
from training.models import Status

pytestmark = pytest.mark.django_db


def test_up_to_twelve_references_stand_beside_the_samples_and_one_is_seen(admin_client: Client) -> None:
    version = make_version(make_actor(images=15), status=Status.TRAINING)
    figure = admin_client.get(version.get_absolute_url()).text.split('id="ref"')[1].split("</figure>")[0]
    assert figure.count("<img") == 12
    assert figure.count(" hidden>") == 11
    assert 'aria-label="Next reference"' in figure


def test_a_single_reference_needs_no_buttons_and_none_is_no_gap(admin_client: Client) -> None:
    for images in (1, 0):
        version = make_version(make_actor(images=images))
        figure = admin_client.get(version.get_absolute_url()).text.split('id="ref"')[1].split("</figure>")[0]
        assert figure.count("<img") == images
        assert "Next reference" not in figure


def test_parameters_stand_by_the_names_of_the_train_page(admin_client: Client) -> None:
    text = admin_client.get(make_version(network_dim=24).get_absolute_url()).text
    assert '<dt>LoRA rank</dt><dd class="mono">24</dd>' in text
    assert "network_dim" not in text


def test_a_failure_of_the_list_has_its_way_out_once(admin_client: Client) -> None:
    failed = make_version(status=Status.FAILED, error="Out of memory")
    row = admin_client.get("/activity/?status=failed").text
    assert row.count(f'id="again-{failed.pk}"') == 1
    again = make_version(failed.actor, status=Status.QUEUED, repeats=failed)
    row = admin_client.get("/activity/?status=failed").text
    assert f'id="again-{failed.pk}"' not in row
    assert f'Tried again as <a href="{again.get_absolute_url()}">' in row
