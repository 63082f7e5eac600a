"""The end of a start: wait until everything answers, make the first login, start the first training."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus

import httpx
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.shortcuts import resolve_url

from actors import demo
from actors.models import Actor
from training.launch import CannotStart, launch, studio_base
from training.models import TrainingVersion
from training.presets import recommend

#: A loaded machine with a cold disk needs a while; a process that died has stopped the start before.
WAIT_SECONDS = 120


class Welcome:
    """Greets the person once, from a thread beside the running processes."""

    def __init__(self, *, demo_training: bool) -> None:
        self.demo_training = demo_training
        #: Why the start was given up, for the last line.
        self.failure = ""

    def greet(self, stop: Callable[[], None]) -> None:
        """Waits, prepares, prints; ``stop`` ends everything when that can't be done."""
        try:
            self._wait()
            lines = [("Open", f"{settings.SITE_URL}/")]
            if self.demo_training and (version := first_training()):
                lines.append(("First training", f"{settings.SITE_URL}{version.get_absolute_url()}"))
            # The login comes last: nothing can go wrong between making its password and showing it.
            print(banner([*lines, ("Sign in", first_login()), ("Stop", "Ctrl-C")]), flush=True)
        except Exception as error:  # noqa: BLE001  # whatever it is, running on half-started is worse
            self.failure = " ".join(str(error).split()) or type(error).__name__
            stop()
        finally:
            connection.close()

    def _wait(self) -> None:
        pages = {"The site": f"{settings.SITE_URL}{resolve_url(settings.LOGIN_URL)}"}
        if settings.LOCAL_ENDPOINT:
            pages["The local endpoint"] = f"{settings.RUNPOD_BASE_URL}/{settings.RUNPOD_ENDPOINT_ID}/health"
        deadline = time.monotonic() + WAIT_SECONDS
        for name, url in pages.items():
            while not answers(url):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} does not answer at {url}.")
                time.sleep(0.2)


def answers(url: str) -> bool:
    """Whether the page comes back as it should. Raises ``RuntimeError`` when it never will."""
    headers = {"Authorization": f"Bearer {settings.RUNPOD_API_KEY}"} if settings.LOCAL_ENDPOINT else {}
    try:
        status = httpx.get(url, headers=headers, timeout=10).status_code
    except httpx.TransportError:
        return False
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RuntimeError(f"{url} answers with the error {status}; the lines of web or endpoint say why.")
    return status == HTTPStatus.OK


def first_login() -> str:
    """Who signs in; makes the first superuser when there is none, and says its password this once."""
    users = get_user_model().objects
    if known := users.filter(is_superuser=True, is_active=True).order_by("pk").first():
        return (
            f"as {known.get_username()} (password forgotten? manage.py changepassword {known.get_username()})"
        )
    name = os.environ.get("ACTORTRAIN_ADMIN_USER") or "admin"
    given = os.environ.get("ACTORTRAIN_ADMIN_PASSWORD")
    password = given or secrets.token_urlsafe(12)
    users.create_superuser(name, password=password)
    if given:
        return f"as {name}, with the password of ACTORTRAIN_ADMIN_PASSWORD"
    return f"as {name}, password {password}  (shown only this once)"


def first_training() -> TrainingVersion | None:
    """Trains the first demo actor, if nobody has trained anything and drawn portraits can be trained."""
    first = demo.CAST[0]
    actor = Actor.objects.filter(pk=first.id, name=first.name).first()
    if actor is None or not settings.LOCAL_ENDPOINT or TrainingVersion.objects.exists():
        return None
    count = len(actor.dataset.trainable_images())
    parameters, _ = recommend(count, studio_base(), class_tokens=actor.trigger_token)
    try:
        return launch(actor, parameters.to_dict(), description="The first training, started with the site")
    except CannotStart as error:
        print(f"The demo training was not started: {error}", flush=True)
        return None


def banner(lines: list[tuple[str, str]]) -> str:
    """The few lines a person looks for, apart from the log around them."""
    width = max(len(label) for label, _ in lines)
    rule = "─" * 78
    body = "\n".join(f"  {label:<{width}}  {text}" for label, text in lines)
    return f"\n{rule}\n  ActorTrain is running\n\n{body}\n{rule}\n"
