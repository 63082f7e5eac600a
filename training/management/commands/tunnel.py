"""``manage.py tunnel``: a public address for this machine, as long as the command runs."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import tunnel


class Command(BaseCommand):
    """Holds an ngrok tunnel until Ctrl-C or SIGTERM."""

    help = "Opens an ngrok tunnel to this site and keeps it open. Trainings work without one, too."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Says the address, then waits."""
        try:
            url = tunnel.hold()
        except tunnel.TunnelError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{url} leads here until this command ends. Webhooks of new trainings go there.")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            signal.pause()
        except KeyboardInterrupt:
            self.stdout.write("Closed.")
        finally:
            tunnel.state_file().unlink(missing_ok=True)
