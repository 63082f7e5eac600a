"""The site's settings in a closed room: no ``.env``, nothing under ``var/``, cheap passwords."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_room = Path(tempfile.mkdtemp(prefix="actortrain-tests-"))
atexit.register(shutil.rmtree, _room, ignore_errors=True)

for _name in (
    "ACTORS_JSON_PUBLIC ACTORTRAIN_ENDPOINT_KEY ALLOWED_HOSTS AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY BASE_MODEL"
    " CORS_ALLOWED_ORIGINS CSRF_TRUSTED_ORIGINS DEBUG LOCAL_ENDPOINT_URL MODEL_TRAINING_RUNPOD_ENDPOINT_ID PUBLIC_URL"
    " RUNPOD_API_KEY RUNPOD_BASE_URL RUNPOD_ENDPOINT_ID S3_BUCKET S3_ENDPOINT_URL S3_REGION"
).split():
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

from actortrain_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
