"""All settings, read from the environment (and ``.env``). ``.env.example`` explains each variable.

Nothing needs to be set: the defaults run on one machine with SQLite, files under ``var/`` and the
local endpoint. A wrong or half-set variable raises ``ImproperlyConfigured`` with one clear line.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, EnvValidationError

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()
env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"), recurse=False)


def need(variable: str, because: str) -> str:
    """The value of a variable that another one makes necessary."""
    value = env.str(variable, "")
    if not value:
        raise ImproperlyConfigured(
            f"{variable} is not set, but {because}. Set it in the environment or in .env."
        )
    return value


def kept_secret(path: Path) -> str:
    """A random secret, made once and kept in a file that only this user can read."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(48)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process of the same start was faster
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secret)
    return secret


def read_environment() -> dict[str, Any]:
    """Every setting that depends on the environment; malformed ones are named in one line."""
    var = env.path("VAR_DIR", BASE_DIR / "var")
    site_url = env.str("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
    host = urlsplit(site_url)
    if host.scheme not in ("http", "https") or not host.hostname:
        raise ImproperlyConfigured(f"PUBLIC_URL must look like https://actors.example.com, not {site_url!r}.")
    values: dict[str, Any] = {
        "VAR_DIR": var,
        "SECRET_KEY": env.str("SECRET_KEY", "") or kept_secret(var / "secret_key"),
        "DEBUG": env.bool("DEBUG", False),
        "SITE_URL": site_url,
        "ALLOWED_HOSTS": env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]", host.hostname]),
        "CSRF_TRUSTED_ORIGINS": env.list("CSRF_TRUSTED_ORIGINS", [f"{host.scheme}://{host.netloc}"]),
        "SECURE_COOKIES": host.scheme == "https",
        # A new connection costs more than most queries, and SQLite tidies its log when the last one closes.
        "DATABASE": env.dj_db_url("DATABASE_URL", f"sqlite:///{var / 'actortrain.sqlite3'}", conn_max_age=60),
        "TASK_WORKERS": env.int("TASK_WORKERS", 3),
        "BASE_MODEL": env.str("BASE_MODEL", ""),
        "DECIDE_AFTER": timedelta(seconds=env.int("DECIDE_AFTER_SECONDS", 600)),
        "LONG_WAIT": timedelta(minutes=env.int("LONG_WAIT_MINUTES", 30)),
        "NGROK_AUTHTOKEN": env.str("NGROK_AUTHTOKEN", ""),
        "NGROK_DOMAIN": env.str("NGROK_DOMAIN", ""),
        "NOTIFY_EMAILS": env.list("NOTIFY_EMAILS", []),
        "LOG_LEVEL": env.str("LOG_LEVEL", "INFO").upper(),
        "ACTORS_JSON_PUBLIC": env.bool("ACTORS_JSON_PUBLIC", False),
        "CORS_ALLOWED_ORIGINS": env.list("CORS_ALLOWED_ORIGINS", []),
    }
    zone = env.str("STUDIO_TIME_ZONE", "UTC")
    if zone not in available_timezones():
        raise ImproperlyConfigured(f"STUDIO_TIME_ZONE must look like Europe/Berlin, not {zone!r}.")
    values["STUDIO_TIME_ZONE"] = zone
    values.update(read_object_store(), **read_endpoint(var), **read_prices())
    return values


def read_object_store() -> dict[str, Any]:
    """Where files lie: S3 when ``S3_BUCKET`` is set, else ``var/media``."""
    bucket = env.str("S3_BUCKET", "")
    for variable in ("S3_ENDPOINT_URL", "S3_REGION"):
        if env.str(variable, "") and not bucket:
            need("S3_BUCKET", f"{variable} is")
    if bucket and bool(env.str("AWS_ACCESS_KEY_ID", "")) != bool(env.str("AWS_SECRET_ACCESS_KEY", "")):
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            need(variable, "its other half is")
    return {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": env.str("S3_ENDPOINT_URL", "") or None,
        "S3_REGION": env.str("S3_REGION", "") or "us-east-1",
        "MAX_DATASET_IMAGES": env.int("MAX_DATASET_IMAGES", 1000),
        "MAX_IMAGE_BYTES": env.int("MAX_IMAGE_MB", 40) * 1024 * 1024,
        "MAX_IMAGE_PIXELS": env.int("MAX_IMAGE_MEGAPIXELS", 50) * 1_000_000,
        "MAX_ZIP_BYTES": env.int("MAX_ZIP_MB", 2048) * 1024 * 1024,
        "IMAGE_URL_HOSTS": env.list("IMAGE_URL_HOSTS", []),
        "DATASET_ROOT": env.path("DATASET_ROOT").resolve() if env.str("DATASET_ROOT", "") else None,
    }


def read_endpoint(var: Path) -> dict[str, Any]:
    """Who trains: RunPod when its key is set, else the local endpoint."""
    endpoint = env.str("RUNPOD_ENDPOINT_ID", "") or env.str("MODEL_TRAINING_RUNPOD_ENDPOINT_ID", "")
    key = env.str("RUNPOD_API_KEY", "")
    if endpoint and not key:
        need("RUNPOD_API_KEY", "RUNPOD_ENDPOINT_ID is")
    if key and not endpoint:
        need("RUNPOD_ENDPOINT_ID", "RUNPOD_API_KEY is")
    if key:
        url = env.str("RUNPOD_BASE_URL", "https://api.runpod.ai/v2")
        return {
            "RUNPOD_BASE_URL": url,
            "RUNPOD_ENDPOINT_ID": endpoint,
            "RUNPOD_API_KEY": key,
            "LOCAL_ENDPOINT": False,
        }
    return {
        "RUNPOD_BASE_URL": env.str("LOCAL_ENDPOINT_URL", "http://127.0.0.1:8800").rstrip("/") + "/v2",
        "RUNPOD_ENDPOINT_ID": "local",
        "RUNPOD_API_KEY": env.str("ACTORTRAIN_ENDPOINT_KEY", "") or kept_secret(var / "endpoint_key"),
        "LOCAL_ENDPOINT": True,
    }


def read_prices() -> dict[str, Any]:
    """What a second of the endpoint's GPU costs: one price, or a list of GPUs and the one it has."""
    text, gpu = env.str("GPU_PRICES", "").strip(), env.str("RUNPOD_GPU", "")
    try:
        pairs = (
            json.loads(text)
            if text.startswith("{")
            else dict(part.split("=") for part in text.split(",") if part)
        )
        prices = {str(name).strip(): float(price) for name, price in pairs.items()}
    except (ValueError, TypeError, AttributeError):
        raise ImproperlyConfigured(
            "GPU_PRICES must look like L40S=0.00053,H100=0.00116 (US dollars a second), or be JSON."
        ) from None
    if gpu and gpu not in prices:
        raise ImproperlyConfigured(f"RUNPOD_GPU is {gpu!r}, but GPU_PRICES has no price for it.")
    if len(prices) > 1 and not gpu:
        need("RUNPOD_GPU", "GPU_PRICES names more than one")
    price = prices[gpu or next(iter(prices))] if prices else env.float("GPU_PRICE_PER_SECOND", 0.0)
    if not 0 <= price < 1:
        raise ImproperlyConfigured(f"A GPU's price is US dollars a second, so {price} can't be right.")
    return {
        "GPU_PRICES": prices,
        "RUNPOD_GPU": gpu or next(iter(prices), ""),
        "GPU_PRICE_PER_SECOND": price,
        "WORKER_START_SECONDS": env.float("WORKER_START_SECONDS", None),
        "WORKER_IDLE_SECONDS": env.float("WORKER_IDLE_SECONDS", 5.0),
    }


try:
    _values = read_environment()
except EnvValidationError as error:
    raise ImproperlyConfigured(str(error)) from None
except (EnvError, ValueError) as error:
    raise ImproperlyConfigured(f"{error}. See .env.example.") from None

# After .env is read: it reads the environment too.
from actortrain_site.login_settings import *  # noqa: E402, F403  # as above; all of them are settings
from actortrain_site.login_settings import LOGIN_APPS, OIDC_ORIGINS  # noqa: E402  # as above

VAR_DIR: Path = _values["VAR_DIR"]
SECRET_KEY: str = _values["SECRET_KEY"]
DEBUG: bool = _values["DEBUG"]
SITE_URL: str = _values["SITE_URL"]
ALLOWED_HOSTS: list[str] = _values["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS: list[str] = _values["CSRF_TRUSTED_ORIGINS"]
#: With a token a tunnel may be opened: what comes through it carries ngrok's host names.
NGROK_AUTHTOKEN: str = _values["NGROK_AUTHTOKEN"]
NGROK_DOMAIN: str = _values["NGROK_DOMAIN"]
if NGROK_AUTHTOKEN:
    ALLOWED_HOSTS += [".ngrok-free.app", ".ngrok-free.dev", ".ngrok.app", ".ngrok.dev", ".ngrok.io"]
    ALLOWED_HOSTS += [NGROK_DOMAIN] if NGROK_DOMAIN else []

INSTALLED_APPS = [
    "actortrain_site.apps.StudioAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "django_q",
    "rest_framework",
    "simple_history",
    *LOGIN_APPS,
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    "actors",
    "training",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "actors.permissions.RoleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "actors.time_zone.TimeZoneMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "actortrain_site.urls"
WSGI_APPLICATION = "actortrain_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "training.context.studio",
            ],
        },
    },
]

DATABASES = {"default": _values["DATABASE"]}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    # Web, tasks and commands write at once: WAL lets them, IMMEDIATE and the time-out make them queue.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

S3_BUCKET: str = _values["S3_BUCKET"]
S3_ENDPOINT_URL: str | None = _values["S3_ENDPOINT_URL"]
S3_REGION: str = _values["S3_REGION"]
#: AWS by the bucket's own host; by path where that host would have no certificate or no name.
S3_ADDRESSING = "path" if S3_ENDPOINT_URL or "." in S3_BUCKET else "virtual"
MEDIA_ROOT = VAR_DIR / "media"
if S3_BUCKET:
    _default_storage: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL,
            "region_name": S3_REGION,
            "signature_version": "s3v4",
            "file_overwrite": True,
            "default_acl": None,
            "querystring_auth": True,
        },
    }
else:
    _default_storage = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": MEDIA_ROOT, "allow_overwrite": True},
    }
# Tests render templates without collectstatic having run.
_testing = "pytest" in sys.modules
_static_backend = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
    if _testing or DEBUG
    else "actortrain_site.static_files.StaticFiles"
)
STORAGES = {"default": _default_storage, "staticfiles": {"BACKEND": _static_backend}}
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "actortrain_site" / "static"]
# Compression takes a first start most of its time: half the files, and no source maps.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ("br", "gz", "jpg", "map", "png", "webp", "woff", "woff2", "zip")
#: Links to files are signed and expire: seconds for a page, and for a job that may wait in a queue.
FILE_LINK_SECONDS = 3600
JOB_LINK_SECONDS = 2 * 24 * 3600
#: Images above this never enter the dataset (bytes).
MAX_IMAGE_BYTES: int = _values["MAX_IMAGE_BYTES"]
#: Width × height above this is refused before anything is decoded: 50 megapixels take 150 MB.
MAX_IMAGE_PIXELS: int = _values["MAX_IMAGE_PIXELS"]
MAX_DATASET_IMAGES: int = _values["MAX_DATASET_IMAGES"]
#: A ZIP of images: its own size and the sum of what is inside.
MAX_ZIP_BYTES: int = _values["MAX_ZIP_BYTES"]
#: Images are imported by URL from these hosts only; empty switches it off.
IMAGE_URL_HOSTS: list[str] = _values["IMAGE_URL_HOSTS"]
#: ``local_path`` of a dataset is read below this folder only; unset switches it off.
DATASET_ROOT: Path | None = _values["DATASET_ROOT"]

RUNPOD_BASE_URL: str = _values["RUNPOD_BASE_URL"]
RUNPOD_ENDPOINT_ID: str = _values["RUNPOD_ENDPOINT_ID"]
RUNPOD_API_KEY: str = _values["RUNPOD_API_KEY"]
LOCAL_ENDPOINT: bool = _values["LOCAL_ENDPOINT"]
#: Which base model trainings use: ``embedded`` for the local endpoint, ``flux`` for RunPod.
BASE_MODEL: str = _values["BASE_MODEL"] or ("embedded" if LOCAL_ENDPOINT else "flux")
#: US dollars; 0 shows no cost.
GPU_PRICE_PER_SECOND: float = _values["GPU_PRICE_PER_SECOND"]
#: All GPUs whose prices are known, and the one that the endpoint has; empty where only one price is given.
GPU_PRICES: dict[str, float] = _values["GPU_PRICES"]
RUNPOD_GPU: str = _values["RUNPOD_GPU"]
#: Seconds that are billed before and after a job; the start is learned when it is not set.
WORKER_START_SECONDS: float | None = _values["WORKER_START_SECONDS"]
WORKER_IDLE_SECONDS: float = _values["WORKER_IDLE_SECONDS"]
#: So long after a submission whose answer is lost, a person may decide what became of it.
DECIDE_AFTER: timedelta = _values["DECIDE_AFTER"]
#: A training that waits longer than this for a worker is told to people.
LONG_WAIT: timedelta = _values["LONG_WAIT"]
#: Who gets letters about failed and waiting trainings, besides those who started them.
NOTIFY_EMAILS: list[str] = _values["NOTIFY_EMAILS"]
if BASE_MODEL not in ("embedded", "flux"):
    raise ImproperlyConfigured(f"BASE_MODEL must be embedded or flux, not {BASE_MODEL!r}.")

# django-q2's defaults repeat tasks for ever; every task of ours is idempotent and bounded.
Q_CLUSTER = {
    "name": "actortrain",
    "orm": "default",
    "workers": _values["TASK_WORKERS"],
    "timeout": 180,
    "retry": 600,
    "max_attempts": 3,
    "queue_limit": 20,
    "poll": 0.5,
    "catch_up": False,
    "save_limit": 500,
    "label": "Tasks",
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
#: Whose midnight ends a month's budget and the last day of a right; pages show the visitor's own times.
STUDIO_TIME_ZONE: str = _values["STUDIO_TIME_ZONE"]
USE_I18N = False
USE_TZ = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _values["SECURE_COOKIES"]
SESSION_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if SESSION_COOKIE_SECURE:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
_image_sources = [SELF, "data:"]
if S3_BUCKET:
    _host = f"{S3_BUCKET}.s3" if S3_ADDRESSING == "virtual" else "s3"
    _store = urlsplit(S3_ENDPOINT_URL or f"https://{_host}.{S3_REGION}.amazonaws.com")
    _image_sources.append(f"{_store.scheme}://{_store.netloc}")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": _image_sources,
        "connect-src": _image_sources,
        "font-src": [SELF],
        "form-action": [SELF, *OIDC_ORIGINS],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 40 * 1024 * 1024

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "actors.authentication.TokenAuthentication",  # first: who is unknown gets a 401
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["actors.permissions.RolePermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["actors.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "actors.rest.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "actortrain_site.api_errors.handle",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "ActorTrain",
    "VERSION": "1.0",
    "DESCRIPTION": "A registry of actors, and LoRA trainings of them. docs/api.md is the guide.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"BatchItemStateEnum": "training.batch_models.ItemState"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "actortrain_site.api_schema.add_common_answers",
    ],
    # The page's scripts and styles come from this site: nothing is loaded from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    # No links inside the buttons that open an operation, and no colours that are hard to read.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False, "syntaxHighlight": False},
}

#: Whether everyone may read ``/actors.json``, or only people and tokens that may view actors.
ACTORS_JSON_PUBLIC: bool = _values["ACTORS_JSON_PUBLIC"]
# Pages of these origins may read with a token of theirs; cookies never cross origins.
CORS_ALLOWED_ORIGINS: list[str] = _values["CORS_ALLOWED_ORIGINS"]
CORS_URLS_REGEX = r"^/(actors\.json$|api/)"
CORS_ALLOW_METHODS = ["GET", "HEAD", "OPTIONS"]
CORS_ALLOW_HEADERS = ["accept", "authorization", "if-none-match"]
CORS_EXPOSE_HEADERS = ["etag", "link"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": _values["LOG_LEVEL"]},
    # httpx logs whole URLs at INFO, and ours carry signatures; django-q logs every look of the sweep.
    "loggers": {name: {"level": "WARNING"} for name in ("httpx", "httpcore", "axes", "django-q")},
}
