"""What tests of pages read from a page and send back."""

from __future__ import annotations

import html
import re
from typing import Any

from django.test import Client

from training.base_models import EMBEDDED

#: What auto-adjust recommends here.
STEPS = str(EMBEDDED.table[0].max_train_steps)
HTMX = {"HX-Request": "true"}


def form_of(text: str) -> dict[str, str]:
    """What a browser would send for the parameters on a page."""
    fields = re.findall(r'<input class="in[^"]*" id="p-\w+" name="(\w+)" value="([^"]*)"', text)
    chosen = re.findall(r'<select class="in" id="p-\w+" name="(\w+)".*?<option selected>([^<]*)', text)
    return dict(fields) | dict(chosen)


def undo(client: Client, text: str) -> Any:
    """Presses the button of the toast."""
    form = re.search(
        r'<form method="post" action="([^"]+)">((?:(?!</form>).)*)<button class="btn">Undo', text
    )
    assert form, "There is no Undo."
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', form[2])
    return client.post(html.unescape(form[1]), {name: html.unescape(value) for name, value in fields})


def seen_in(text: str) -> str:
    found = re.search(r"seen=([\w.]+)", text)
    assert found
    return found[1]
