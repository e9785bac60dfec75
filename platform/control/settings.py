"""Settings, from the environment. Everything that a run writes lies under ``HELIOGRAPH_VAR``.

``DATABASE_URL`` and ``REDIS_URL`` say where PostgreSQL and Valkey (or Redis) are. Where they are not
set, the addresses of a running ``make run`` are taken from ``var/run.json``, so that ``manage.py``
commands work beside it.
"""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from control.secrets import django_secrets
from dashboards.theme import admin_colours
from engine.errors import BadInput

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR = Path(os.environ.get("HELIOGRAPH_VAR") or BASE_DIR / "var").resolve()
HISTORY_ROOT = VAR / "history"
BACKTEST_ROOT = VAR / "backtests"
LIMITS_KEY = VAR / "secrets" / "limits.key"  # signs the nodes' bundles; the public one lies beside it
# How long a bundle is valid, in days of the engine's clock. It is renewed while linked when half of that is over.
LIMITS_VALID_DAYS = int(os.environ.get("LIMITS_VALID_DAYS") or 2)


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def _list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


def _running() -> dict[str, str]:
    """What ``make run`` wrote when it was ready, or nothing."""
    path = VAR / "run.json"
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}  # no run, or one that is just writing the file: the defaults below hold


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise BadInput("database_url", "DATABASE_URL", url, "postgresql://user[:password]@host:port/name")
    # Servers hold a pool (asgi.py asks for it); commands and workers keep one connection.
    pool = {"pool": {"min_size": 1, "max_size": 10, "timeout": 10}} if _flag("DATABASE_POOL") else {}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
        "OPTIONS": dict(parse_qsl(parts.query)) | pool,
        "CONN_MAX_AGE": 0 if pool else 600,
        "CONN_HEALTH_CHECKS": not pool,
    }


RUNNING = _running()
DATABASE_URL = (
    os.environ.get("DATABASE_URL") or RUNNING.get("dsn") or "postgresql://heliograph@127.0.0.1:5432/heliograph"
)
REDIS_URL = os.environ.get("REDIS_URL") or RUNNING.get("redis") or "redis://127.0.0.1:6379/0"
DATABASES = {"default": _database(DATABASE_URL)}

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or django_secrets(VAR)["secret_key"]
DEBUG = _flag("HELIOGRAPH_DEBUG")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *_list("HELIOGRAPH_HOSTS")]

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "pgtrigger",
    "axes",
    "control.web",
    "control.accounts",
    "control.desks",
    "control.strategies",
    "control.approvals",
    "control.deployments",
    "control.limits",
    "control.backtests",
    "control.trading",
    "control.marketdata",
    "control.monitoring",
    "control.audit",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "control.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "control.urls"
ASGI_APPLICATION = "control.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# ---- who may come in -------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
# Five bad tries for one name from one address are answered with 429 for a quarter of an hour.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HTTP_RESPONSE_CODE = 429
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_IPWARE_PROXY_COUNT = int(os.environ.get("HELIOGRAPH_PROXIES", "0"))
AXES_VERBOSE = False

HTTPS = _flag("HELIOGRAPH_HTTPS")
SESSION_COOKIE_NAME = "heliograph_session"
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = _list("HELIOGRAPH_ORIGINS")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
X_FRAME_OPTIONS = "SAMEORIGIN"  # the dashboards stand in frames of our own pages

# ---- static files: served by the process itself, straight from the apps ----------------------------
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("HELIOGRAPH_STATIC") or None  # for collectstatic, where a proxy serves the files
STATICFILES_DIRS = [
    (prefix, folder) for prefix, folder in (("dashboards", BASE_DIR / "dashboards" / "assets"),) if folder.is_dir()
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# ---- messages and jobs -----------------------------------------------------------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "heliograph"},
    }
}
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True  # the row in PostgreSQL is the result
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"


def _without_trace(record: Any) -> bool:
    """A refused request (4xx) is one line in the log; a trace is for what went wrong here."""
    if getattr(record, "status_code", 500) < 500:
        record.exc_info = None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"refusals": {"()": "django.utils.log.CallbackFilter", "callback": _without_trace}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["refusals"]}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("HELIOGRAPH_LOG", "WARNING")},
    "loggers": {"control": {"level": os.environ.get("HELIOGRAPH_LOG", "INFO")}},
}

UNFOLD = {
    "SITE_TITLE": "Heliograph",
    "SITE_HEADER": "Heliograph",
    "SITE_SUBHEADER": "Administration",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": True,
    "COLORS": admin_colours(),
}
