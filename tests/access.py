"""The one table: who may call which address. ``tests/test_roles.py`` tries every row as everybody.

A new route without a row fails the tests. ``python -m tests.access`` writes ``docs/permissions.md``.

Who: ``public`` (everybody), ``signed`` (whoever holds the signed link), ``person`` (everybody who has
signed in; tokens can't), or the action of ``actors/permissions.py`` that the visitor's role has to allow.
"""

from __future__ import annotations

from pathlib import Path

#: Route pattern to method to who.
ACCESS: dict[str, dict[str, str]] = {
    # Signing in and the visitor's own account (django-allauth)
    "accounts/login/": {"GET": "public", "POST": "public"},
    "accounts/logout/": {"GET": "public", "POST": "public"},
    "accounts/inactive/": {"GET": "public"},
    "accounts/signup/": {"GET": "public", "POST": "public"},
    "accounts/reauthenticate/": {"GET": "person", "POST": "person"},
    "accounts/email/": {"GET": "person", "POST": "person"},
    "accounts/confirm-email/": {"GET": "public"},
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": {"GET": "public", "POST": "public"},
    "accounts/password/change/": {"GET": "person", "POST": "person"},
    "accounts/password/set/": {"GET": "person", "POST": "person"},
    "accounts/password/reset/": {"GET": "public", "POST": "public"},
    "accounts/password/reset/done/": {"GET": "public"},
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": {
        "GET": "public",
        "POST": "public",
    },
    "accounts/password/reset/key/done/": {"GET": "public"},
    "accounts/login/code/confirm/": {"GET": "public", "POST": "public"},
    "accounts/2fa/": {"GET": "person"},
    "accounts/2fa/authenticate/": {"GET": "public", "POST": "public"},
    "accounts/2fa/reauthenticate/": {"GET": "person", "POST": "person"},
    "accounts/2fa/totp/activate/": {"GET": "person", "POST": "person"},
    "accounts/2fa/totp/deactivate/": {"GET": "person", "POST": "person"},
    "accounts/2fa/recovery-codes/": {"GET": "person"},
    "accounts/2fa/recovery-codes/generate/": {"GET": "person", "POST": "person"},
    "accounts/2fa/recovery-codes/download/": {"GET": "person"},
    "accounts/3rdparty/": {"GET": "person", "POST": "person"},
    "accounts/3rdparty/login/cancelled/": {"GET": "public"},
    "accounts/3rdparty/login/error/": {"GET": "person"},
    "accounts/3rdparty/signup/": {"GET": "public", "POST": "public"},
    "accounts/social/login/cancelled/": {"GET": "view"},
    "accounts/social/login/error/": {"GET": "view"},
    "accounts/social/signup/": {"GET": "view"},
    "accounts/social/connections/": {"GET": "view"},
    "accounts/oidc/^(?P<provider_id>[^/]+)/login/": {"GET": "public", "POST": "public"},
    "accounts/oidc/^(?P<provider_id>[^/]+)/login/callback/": {"GET": "public"},
    "account/budget": {"GET": "person"},
    "account/tokens": {"GET": "person", "POST": "person"},
    "account/tokens/<str:pk>/revoke": {"POST": "person"},
    # Pages
    "": {"GET": "view"},
    "theme": {"POST": "public"},
    "actors/": {"GET": "view"},
    "actors/<int:actor_id>/": {"GET": "view"},
    "actors/<int:actor_id>/start": {"POST": "train"},
    "actors/<int:actor_id>/draft": {"POST": "train"},
    "actors/<int:actor_id>/draft/discard": {"POST": "train"},
    "actors/<int:actor_id>/payload": {"GET": "view"},
    "actors/<int:actor_id>/versions": {"GET": "view"},
    "actors/<int:actor_id>/measure": {"POST": "curate"},
    "actors/<int:actor_id>/history": {"GET": "view"},
    "actors/<int:actor_id>/compare": {"GET": "view"},
    "actors/<int:actor_id>/use": {"GET": "view"},
    "actors/<int:actor_id>/roll-back": {"POST": "curate"},
    "actors/<int:actor_id>/dataset": {"GET": "view"},
    "actors/<int:actor_id>/dataset.zip": {"GET": "view"},
    "actors/<int:actor_id>/dataset/start": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/uploads/<uuid:upload_id>": {"GET": "curate"},
    "actors/<int:actor_id>/dataset/uploads/<uuid:upload_id>/finish": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/files": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/urls": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/clear": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/kind": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/decide": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/captions": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/undo": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/order": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/poster": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/sync": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/inspect": {"POST": "curate"},
    "actors/<int:actor_id>/dataset/pair/<int:one>/<int:other>": {"GET": "view"},
    "actors/<int:actor_id>/dataset/since/<int:number>": {"GET": "view"},
    "actors/<int:actor_id>/images/<int:image_id>": {"GET": "view", "POST": "curate"},
    "actors/<int:actor_id>/rights": {"GET": "view", "POST": "curate"},
    "actors/<int:actor_id>/rights/document": {"GET": "curate"},
    "actors/<int:actor_id>/rights/remove": {"POST": "curate"},
    "rights/": {"GET": "view"},
    "rights/policy": {"POST": "admin"},
    "budgets/": {"GET": "admin", "POST": "admin"},
    "styleguide": {"GET": "curate"},
    "activity/": {"GET": "view"},
    "batches/": {"GET": "view"},
    "batches/new": {"GET": "train", "POST": "train"},
    "batches/matching": {"GET": "train"},
    "batches/<int:pk>/": {"GET": "view"},
    "batches/<int:pk>/change": {"POST": "train"},
    "batches/<int:pk>/<slug:verb>": {"POST": "train"},
    "analytics/": {"GET": "view"},
    "analytics/<slug:table>.csv": {"GET": "view"},
    "presets/": {"GET": "view"},
    "presets/new": {"GET": "curate", "POST": "curate"},
    "presets/<slug:name>": {"GET": "view", "POST": "curate"},
    "presets/<slug:name>/retire": {"POST": "curate"},
    "presets/<slug:name>/restore/<int:number>": {"POST": "curate"},
    "trainings/<int:pk>/": {"GET": "view"},
    "trainings/<int:pk>/cancel": {"POST": "train"},
    "trainings/<int:pk>/check": {"POST": "train"},
    "trainings/<int:pk>/retry": {"POST": "train"},
    "trainings/<int:pk>/give-up": {"POST": "train"},
    "trainings/<int:pk>/resubmit": {"POST": "train"},
    "trainings/<int:pk>/good": {"POST": "curate"},
    "trainings/<int:pk>/not-good": {"POST": "curate"},
    "trainings/<int:pk>/console.txt": {"GET": "view"},
    "trainings/<int:pk>/lora": {"GET": "view"},
    "trainings/<int:pk>/previews": {"GET": "view", "POST": "train"},
    "trainings/<int:pk>/grid": {"GET": "view"},
    "previews/<int:pk>/": {"GET": "view"},
    "previews/<int:pk>/cancel": {"POST": "train"},
    "previews/<int:pk>/check": {"POST": "train"},
    "previews/<int:pk>/send-again": {"POST": "train"},
    "previews/<int:pk>/give-up": {"POST": "train"},
    "previews/<int:pk>/delete": {"POST": "curate"},
    "prompt-sets/": {"GET": "view"},
    "prompt-sets/settings": {"POST": "curate"},
    "prompt-sets/new": {"GET": "curate", "POST": "curate"},
    "prompt-sets/<int:pk>": {"GET": "view", "POST": "curate"},
    "prompt-sets/<int:pk>/standard": {"POST": "curate"},
    "prompt-sets/<int:pk>/delete": {"POST": "curate"},
    # Files and what the endpoint calls
    "files/<path:key>": {"GET": "signed", "PUT": "signed"},
    "api/preview-webhook/<str:token>": {"POST": "signed"},
    "api/training-webhook/<str:token>": {"POST": "signed"},
    # The registry and the old paths
    "actors.json": {"GET": "view"},
    "api/actors/<int:pk>/training-versions": {"GET": "view", "POST": "curate"},
    "api/actors/<int:pk>/mark-good": {"POST": "curate"},
    # The API
    "api/": {"GET": "public"},
    "api/me": {"GET": "view"},
    "api/schema": {"GET": "public"},
    "api/docs": {"GET": "public"},
    "api/schemas/actors.json": {"GET": "public"},
    "api/actors": {"GET": "view", "POST": "curate"},
    "api/actors/<int:pk>": {"GET": "view", "PATCH": "curate"},
    "api/actors/<int:pk>/dataset": {"GET": "view", "PATCH": "curate"},
    "api/actors/<int:pk>/lora": {"GET": "view"},
    "api/actors/<int:pk>/retire": {"POST": "curate"},
    "api/actors/<int:pk>/restore": {"POST": "curate"},
    "api/actors/<int:pk>/rights": {"GET": "view", "PUT": "curate", "DELETE": "curate"},
    "api/actors/<int:pk>/rights/document": {"GET": "curate", "PUT": "curate"},
    "api/rights": {"GET": "view"},
    "api/rights/policy": {"GET": "view", "PUT": "admin"},
    "api/budget": {"GET": "view"},
    "api/images": {"GET": "view"},
    "api/images/<int:pk>": {"GET": "view", "PATCH": "curate"},
    "api/previews": {"GET": "view", "POST": "train"},
    "api/previews/<int:pk>": {"GET": "view", "DELETE": "curate"},
    "api/previews/<int:pk>/cancel": {"POST": "train"},
    "api/previews/<int:pk>/check-status": {"POST": "train"},
    "api/prompt-sets": {"GET": "view", "POST": "curate"},
    "api/prompt-sets/<int:pk>": {"GET": "view", "PATCH": "curate", "DELETE": "curate"},
    "api/prompt-sets/<int:pk>/make-standard": {"POST": "curate"},
    "api/versions": {"GET": "view", "POST": "train"},
    "api/versions/<int:pk>": {"GET": "view", "PATCH": "curate"},
    "api/versions/<int:pk>/cancel": {"POST": "train"},
    "api/versions/<int:pk>/retry": {"POST": "train"},
    "api/versions/<int:pk>/check-status": {"POST": "train"},
    "api/versions/<int:pk>/events": {"GET": "view"},
    "api/versions/<int:pk>/metrics": {"GET": "view"},
    "api/versions/<int:pk>/samples": {"GET": "view"},
    "api/versions/<int:pk>/mark-good": {"POST": "curate"},
    "api/versions/<int:pk>/measure": {"POST": "curate"},
    "api/versions/<int:pk>/unmark-good": {"POST": "curate"},
    "api/batches": {"GET": "view", "POST": "train"},
    "api/batches/plan": {"POST": "train"},
    "api/batches/<int:pk>": {"GET": "view", "PATCH": "train", "DELETE": "train"},
    "api/batches/<int:pk>/begin": {"POST": "train"},
    "api/batches/<int:pk>/pause": {"POST": "train"},
    "api/batches/<int:pk>/resume": {"POST": "train"},
    "api/batches/<int:pk>/cancel": {"POST": "train"},
    "api/batches/<int:pk>/retry": {"POST": "train"},
    "api/batches/<int:pk>/items": {"GET": "view"},
    "api/batches/<int:pk>/events": {"GET": "view"},
    "api/registry/import": {"POST": "curate"},
    "api/registry/export": {"GET": "view"},
    "api/presets": {"GET": "view"},
    "api/analytics": {"GET": "view"},
    "api/presets/<slug:key>": {"GET": "view"},
    "api/auto-adjust": {"POST": "view"},
    "api/estimate": {"POST": "view"},
    "api/endpoint/health": {"GET": "view"},
    "api/ngrok/status": {"GET": "view"},
    "api/ngrok/start": {"POST": "admin"},
    "api/ngrok/stop": {"POST": "admin"},
    # Health
    "healthz": {"GET": "public"},
    "health/": {"GET": "view"},
    "health/tunnel": {"POST": "admin"},
}

#: Models of the admin; every page of a model needs this, and the model's own permission besides.
ADMIN_MODELS: dict[str, str] = {
    "actors.accesstoken": "admin",
    "actors.actor": "curate",
    "actors.datasetchange": "curate",
    "actors.datasetrevision": "curate",
    "actors.imageupload": "curate",
    "actors.letter": "admin",
    "actors.likenessrights": "curate",
    "actors.registryproposal": "curate",
    "actors.registrysource": "admin",
    "actors.rightspolicy": "admin",
    "actors.trainingdataset": "curate",
    "actors.trainingimage": "curate",
    "account.emailaddress": "admin",
    "auth.group": "admin",
    "auth.permission": "admin",
    "auth.user": "admin",
    "axes.accessattempt": "admin",
    "axes.accessfailurelog": "admin",
    "axes.accesslog": "admin",
    "django_q.failure": "admin",
    "django_q.ormq": "admin",
    "django_q.schedule": "admin",
    "django_q.success": "admin",
    "mfa.authenticator": "admin",
    "socialaccount.socialaccount": "admin",
    "socialaccount.socialapp": "admin",
    "socialaccount.socialtoken": "admin",
    "training.preview": "curate",
    "training.previewsettings": "curate",
    "training.promptset": "curate",
    "training.checkpoint": "curate",
    "training.budgetentry": "admin",
    "training.budgetmonth": "admin",
    "training.budgetrule": "admin",
    "training.batch": "curate",
    "training.parameterdraft": "curate",
    "training.trainingversion": "curate",
    "training.webhook": "admin",
    "training.webhookdelivery": "admin",
}
#: Pages of the admin that belong to no model, and its import and export.
ADMIN_PAGES = {
    "admin:index": "curate",
    "admin:app_list": "curate",
    "admin:autocomplete": "curate",
    "admin:jsi18n": "curate",
    "admin:password_change": "curate",
    "admin:password_change_done": "curate",
    "admin:view_on_site": "curate",
    "admin:login": "public",
    "admin:logout": "public",
}

DOCUMENT = Path(__file__).parents[1] / "docs" / "permissions.md"


def document() -> str:
    """``docs/permissions.md``, from the tables of ``actors/permissions.py`` and this file."""
    from actors.permissions import MEANING, ROLES, SCOPES

    lines = [
        "# Who may do what",
        "",
        "Roles are Django groups; an admin gives them to people in the admin (Users). Each role can all that",
        "the one before it can. Superusers can do everything; people without a role only manage their own",
        "account. A group of your own can have any mix: an action is one of Django's permissions, named in",
        "`actors/permissions.py`, where pages, API and admin ask.",
        "",
        "| action | means | " + " | ".join(ROLES) + " | token scope |",
        "| --- | --- | " + "--- | " * len(ROLES) + "--- |",
    ]
    for action, meaning in MEANING.items():
        marks = " | ".join("yes" if action in allowed else "" for allowed in ROLES.values())
        scope = next((name for name, allows in SCOPES.items() if allows == action), "none")
        lines.append(f"| {action} | {meaning} | {marks} | {scope} |")
    lines += [
        "",
        "A token can do what its scopes allow and its owner's role allows, both. It opens the API and",
        "`/actors.json`, not pages and not the admin. `ACTORS_JSON_PUBLIC=true` lets everybody read",
        "`/actors.json`.",
        "",
        "The dashboard and its tables are for every Viewer. What one person's trainings cost stands there,",
        "in the CSVs and in the API for that person and for whoever can administer, and for nobody else.",
        "",
        "## Every address",
        "`public`: everybody. `signed`: whoever holds the signed link. `person`: whoever has signed in.",
        "A test calls each address as everybody; one that is missing here fails it.",
        "",
        "| method | address | who |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {method} | `/{route}` | {who} |".replace("(?P<", "(").replace("\\w", "w")
        for route, methods in ACCESS.items()
        for method, who in methods.items()
    ]
    lines += ["", "## The admin", "| pages of | who |", "| --- | --- |"]
    lines += [f"| `{model}` | {who} |" for model, who in ADMIN_MODELS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import os

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    DOCUMENT.write_text(document())
