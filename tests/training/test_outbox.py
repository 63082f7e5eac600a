"""Webhooks out: signed, sent once per message, tried again until the receiver has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_q.models import OrmQ

from tests.factories import make_version
from training import outbox, sweeping
from training.models import Webhook, WebhookDelivery
from training.outbox import BACKOFF, EVENTS, deliver, deliver_due

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


@dataclass
class Receiver:
    """A real server that answers with the statuses it is given, the last one for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    seen = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = seen.answers.pop(0) if len(seen.answers) > 1 else seen.answers[0]
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    seen.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield seen
    server.shutdown()
    server.server_close()


@pytest.fixture
def webhook(receiver: Receiver) -> Webhook:
    return Webhook.objects.create(name="studio", url=receiver.url)


def make_delivery(webhook: Webhook) -> WebhookDelivery:
    outbox.announce("training.finished", make_version())
    return webhook.deliveries.get()


def fenced(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


def test_each_event_is_announced_once_and_reaches_the_receiver(webhook: Webhook, receiver: Receiver) -> None:
    done, broken = make_version(status="training"), make_version(status="training")
    done.complete("https://bucket.s3.us-east-1.amazonaws.com/a.safetensors")
    done.complete("https://bucket.s3.us-east-1.amazonaws.com/a.safetensors")
    broken.fail("Out of memory")
    done.mark_good(reason="Likeness 0.9")
    for delivery in webhook.deliveries.order_by("id"):
        deliver(delivery.pk)
        deliver(delivery.pk)
    bodies = [json.loads(body) for _, body in receiver.got]
    assert [body["type"] for body in bodies] == [
        "training.finished",
        "training.failed",
        "version.marked_good",
    ]
    assert bodies[1]["data"]["version"]["error"] == "Out of memory"
    assert bodies[2]["data"]["version"]["isGood"] is True
    assert bodies[2]["data"]["actor"] == {"id": done.actor_id, "name": done.actor.name}
    assert set(webhook.deliveries.values_list("state", flat=True)) == {"delivered"}


def test_a_training_that_waits_long_or_has_no_answer_is_announced_once(webhook: Webhook) -> None:
    hours_ago = timezone.now() - timedelta(hours=2)
    waiting = make_version(status="queued", submitted_at=hours_ago)
    silent = make_version(status="submitting", submitted_at=hours_ago)
    for _ in range(2):
        sweeping.warn_of_waiting(timezone.now())
        sweeping.settle_unanswered(timezone.now() + timedelta(minutes=1))
    told = WebhookDelivery.objects.order_by("id").values_list("event", "version")
    assert list(told) == [("training.waits", waiting.pk), ("training.unanswered", silent.pk)]


def test_only_the_chosen_events_of_active_webhooks_are_sent(webhook: Webhook) -> None:
    Webhook.objects.create(name="quiet", url="https://example.com", events=["training.failed"])
    Webhook.objects.create(name="off", url="https://example.com", is_active=False)
    outbox.announce("training.finished", make_version())
    assert [delivery.webhook for delivery in WebhookDelivery.objects.all()] == [webhook]


def test_the_documented_receiver_in_python_tells_genuine_from_forged(
    webhook: Webhook, receiver: Receiver
) -> None:
    deliver(make_delivery(webhook).pk)
    headers, body = receiver.got[0]
    room: dict[str, Any] = {}
    exec(fenced("python"), room)  # the ten lines of the documentation
    assert room["is_genuine"](webhook.secret, headers, body)
    assert not room["is_genuine"](webhook.secret, headers, body + b" ")
    assert not room["is_genuine"](outbox.make_secret(), headers, body)
    old = str(int(time.time()) - 301)
    signature = outbox.sign(webhook.secret, headers["webhook-id"], int(old), body.decode())
    assert not room["is_genuine"](
        webhook.secret, headers | {"webhook-timestamp": old, "webhook-signature": signature}, body
    )


@pytest.mark.skipif(not shutil.which("node"), reason="NODE IS MISSING: the JavaScript receiver is untested")
def test_the_documented_receiver_in_javascript_tells_genuine_from_forged(
    webhook: Webhook, receiver: Receiver, tmp_path: Path
) -> None:
    deliver(make_delivery(webhook).pk)
    headers, body = receiver.got[0]
    (tmp_path / "receiver.mjs").write_text(fenced("javascript"))
    (tmp_path / "ask.mjs").write_text(
        'import { isGenuine } from "./receiver.mjs";\n'
        'import { readFileSync } from "node:fs";\n'
        "const cases = JSON.parse(readFileSync(0, 'utf8'));\n"
        "const genuine = cases.map((each) => isGenuine(...each));\n"
        "console.log(JSON.stringify(genuine));\n"
    )
    text = body.decode()
    short = headers | {"webhook-signature": "v1,x"}
    cases = [
        [webhook.secret, headers, text],
        [webhook.secret, headers, text + " "],
        [outbox.make_secret(), headers, text],
        [webhook.secret, short, text],
    ]
    ran = subprocess.run(
        ["node", "ask.mjs"], input=json.dumps(cases), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == [True, False, False, False]


def test_a_receiver_that_fails_is_tried_again_ever_later(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 200]
    delivery = make_delivery(webhook)
    for wait in BACKOFF[:2]:
        deliver(delivery.pk)
        delivery.refresh_from_db()
        assert delivery.next_attempt_at is not None
        assert timedelta(0) < timezone.now() + wait - delivery.next_attempt_at < timedelta(seconds=5)
        WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("delivered", 3)
    assert [attempt["status"] for attempt in delivery.log] == [500, 302, 200]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_a_receiver_that_never_answers_fails_after_the_last_attempt(webhook: Webhook) -> None:
    Webhook.objects.update(url="http://127.0.0.1:9/nobody")
    delivery = make_delivery(webhook)
    for _ in range(len(BACKOFF) + 3):
        WebhookDelivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now())
        deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", len(BACKOFF) + 1)
    assert "refused" in delivery.log[-1]["error"].lower()


def test_a_receiver_that_is_gone_is_not_asked_again(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = [410]
    delivery = make_delivery(webhook)
    deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("failed", 1)


def test_a_webhook_switched_off_gets_nothing_more(webhook: Webhook, receiver: Receiver) -> None:
    delivery = make_delivery(webhook)
    Webhook.objects.update(is_active=False)
    deliver(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert receiver.got == []


def test_a_message_whose_task_was_lost_is_found_again(webhook: Webhook) -> None:
    delivery = make_delivery(webhook)
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=1))
    deliver_due()
    assert [row.task["args"] for row in OrmQ.objects.all()] == [(delivery.pk,)]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.com/x", "gopher://example.com", "studio"]
)
def test_only_http_addresses_are_taken(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook(name="bad", url=url).full_clean()
    assert "url" in caught.value.message_dict


@pytest.mark.parametrize("secret", ["", "short", "whsec_", "whsec_!!", "whsec_YWJj"])
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook(name="bad", url="https://example.com", secret=secret).full_clean()
    assert "secret" in caught.value.message_dict


def test_every_event_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z_.]+)`", DOCS.read_text(), re.MULTILINE)) == set(EVENTS)
