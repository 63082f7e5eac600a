"""The site's settings in a closed room: no ``.env``, nothing under ``var/``, cheap passwords."""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

_room = Path(tempfile.mkdtemp(prefix="actortrain-tests-"))
atexit.register(shutil.rmtree, _room, ignore_errors=True)

# WhiteNoise looks for the folder when an application starts.
(_room / "static").mkdir()
_example = (Path(__file__).resolve().parent.parent / ".env.example").read_text()
for _name in re.findall(r"^#([A-Z][A-Z0-9_]+)=", _example, re.MULTILINE):
    os.environ.pop(_name, None)
os.environ.update(
    ENV_FILE=os.devnull,
    VAR_DIR=str(_room),
    SECRET_KEY="only for tests, and long enough for every signature made with it",
    # tests/postgres.py sets the variable; without it the tests use SQLite.
    DATABASE_URL=os.environ.get("ACTORTRAIN_TEST_DATABASE_URL") or f"sqlite:///{_room / 'tests.sqlite3'}",
    # Live servers answer while Playwright's event loop runs in the same thread.
    DJANGO_ALLOW_ASYNC_UNSAFE="1",
)
# Two test processes share two cores with Chromium; subprocesses inherit this too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from actortrain_site.settings import *  # noqa: E402, F403  # reads what was set above

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if "sqlite" in DATABASES["default"]["ENGINE"]:  # noqa: F405  # from the site's settings
    # A file, as in production: in memory, writers of a live server don't queue but fail at once.
    DATABASES["default"]["TEST"] = {"NAME": str(_room / "test.sqlite3")}  # noqa: F405  # as above
