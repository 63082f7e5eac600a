"""``manage.py load_demo``: three drawn actors for an empty registry."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actors import demo


class Command(BaseCommand):
    """Paints the demo actors' images and imports them."""

    help = "Loads three drawn demo actors with their images into an empty registry."

    def handle(self, *args: Any, **options: Any) -> None:
        """Says how many came, or one line why not."""
        try:
            demo.load()
        except demo.DemoError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Loaded {len(demo.CAST)} demo actors.")
