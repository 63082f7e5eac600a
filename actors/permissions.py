"""Who may do what: four roles, four actions, one table. Pages, API and admin all ask ``can``.

Roles are Django groups, and an action is one of Django's own permissions, so that a studio can make
groups of its own. Closed by default: a page that names no action needs ``view`` to be read, and
``admin`` to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import SAFE_METHODS, BasePermission

if TYPE_CHECKING:
    # Imported for real, these would load the API's settings, which name the classes of this app.
    from django.contrib.auth.models import AbstractUser, AnonymousUser
    from rest_framework.request import Request
    from rest_framework.views import APIView

    Person = AbstractUser | AnonymousUser

Action = Literal["view", "train", "curate", "admin"]
View = TypeVar("View", bound=Callable[..., HttpResponseBase])

#: The permission that stands for each action.
PERMISSIONS: dict[Action, str] = {
    "view": "actors.view_actor",
    "train": "training.add_trainingversion",
    "curate": "actors.change_actor",
    "admin": "auth.change_user",
}
#: What each action lets a person do; ``docs/permissions.md`` is checked against it.
MEANING: dict[Action, str] = {
    "view": "see actors, datasets, trainings, their files and history",
    "train": "launch, cancel, retry and check trainings; keep drafts of parameters",
    "curate": "edit actors and datasets, mark good, import, use the admin's curation pages",
    "admin": "manage people, all tokens, webhooks, registry sources, tasks and settings",
}
#: The table. Each role can all that the one above it can.
ROLES: dict[str, tuple[Action, ...]] = {
    "Viewer": ("view",),
    "Trainer": ("view", "train"),
    "Curator": ("view", "train", "curate"),
    "Admin": ("view", "train", "curate", "admin"),
}
#: What a token may be made for. Its owner's role bounds it, and nothing lets it administer.
SCOPES: dict[str, Action] = {"read": "view", "train": "train", "curate": "curate"}

#: Views that are about the visitor's own account: signed in is enough.
_ACCOUNT_MODULES = ("allauth.",)


def can(person: Person, action: Action) -> bool:
    """Whether this person may do it. Unknown and inactive people may do nothing."""
    return bool(person.is_active and person.has_perm(PERMISSIONS[action]))


def requires(action: Action, **by_method: Action) -> Callable[[View], View]:
    """Names the action that a view needs: ``@requires("train")``, ``@requires("view", POST="curate")``.

    Class-based views are wrapped as ``requires("train")(SomeView.as_view())``.
    """

    def name(view: View) -> View:
        view.required_actions = {"*": action} | by_method  # type: ignore[attr-defined]  # a mark
        return view

    return name


def signed_in_only(view: View) -> View:
    """For pages about the visitor's own account: no role is needed."""
    view.required_actions = {}  # type: ignore[attr-defined]  # a mark
    return view


class RoleMiddleware(LoginRequiredMiddleware):
    """Sends strangers to the login, and refuses people whose role does not allow the action."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., Any], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        """Runs before every view; API views and public ones have ``login_required`` unset."""
        if not getattr(view_func, "login_required", True):
            return None
        if not request.user.is_authenticated:
            return self.handle_no_permission(request, view_func)
        match = request.resolver_match
        if match and "admin" in match.app_names and not hasattr(view_func, "required_actions"):
            return None  # AdminSite.has_permission and the model's permissions decide
        if action := page_action(view_func, request.method or "GET"):
            check(request.user, action)
        return None


def page_action(view_func: Callable[..., Any], method: str) -> Action | None:
    """What a page needs for a method; None when being signed in is enough."""
    module = getattr(view_func, "__module__", "")
    if module.startswith(_ACCOUNT_MODULES):
        return None
    named: dict[str, Action] | None = getattr(view_func, "required_actions", None)
    if named is None:
        return "view" if method in SAFE_METHODS else "admin"
    return named.get(method) or named.get("*")


def check(person: Person, action: Action) -> None:
    """Raises ``PermissionDenied`` with a sentence that says what to do."""
    if not can(person, action):
        raise PermissionDenied(refusal(action))


def refusal(action: Action) -> str:
    """Why not, and who can help."""
    role = next(name for name, actions in ROLES.items() if action in actions)
    return f"This needs the role {role}. Ask an admin of your studio to give it to you."


class RolePermission(BasePermission):
    """The same table for the API. A viewset names what its actions need::

        required_actions = {"launch": "train", "partial_update": "curate", "POST": "curate"}

    Keys are viewset actions or HTTP methods. Unnamed reads need ``view``, unnamed writes ``admin``.
    With a token both must allow it: the owner's role and the token's scope.
    """

    message = ""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or False with ``message`` set to the reason."""
        if not request.user.is_authenticated:
            return False
        method = request.method or "GET"
        routed = getattr(view, "action_map", None)  # of viewsets
        if routed and method.lower() not in (*routed, "head", "options"):
            return True  # nobody may: the answer is 405, and not that a role is missing
        action = api_action(view, method)
        scopes = getattr(request.auth, "scopes", None)
        if scopes is not None and action not in {SCOPES[scope] for scope in scopes}:
            scope = next((scope for scope, allows in SCOPES.items() if allows == action), None)
            self.message = (
                f"This token lacks the scope {scope}. Make one that has it on your tokens page."
                if scope
                else "Tokens can't do this. Sign in instead."
            )
            return False
        if not can(request.user, action):
            self.message = refusal(action)
            return False
        return True


def api_action(view: Any, method: str) -> Action:
    """What an API view needs for a method."""
    named: Mapping[str, Action] = getattr(view, "required_actions", {})
    action = getattr(view, "action", None)
    return (
        (action and named.get(action)) or named.get(method) or ("view" if method in SAFE_METHODS else "admin")
    )


def ensure_roles() -> None:
    """The four groups and their permissions; runs after every migrate, and leaves other groups alone."""
    from django.contrib.auth.models import Group, Permission

    permissions = list(Permission.objects.select_related("content_type"))
    for role in ROLES:
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.add(
            *(each for each in permissions if _belongs(role, each.content_type.app_label, each.codename))
        )


def _belongs(role: str, app: str, codename: str) -> bool:
    """Whether a role has one of Django's permissions, so that the admin shows each person their part."""
    verb, _, model = codename.partition("_")
    if role == "Admin" or f"{app}.{codename}" in [PERMISSIONS[action] for action in ROLES[role]]:
        return True
    if app not in ("actors", "training") or model in _ADMINS_ONLY:
        return False
    if verb == "view":
        return True
    # Curators edit the registry; of a version only what people own. Nobody edits history.
    edits = app == "actors" or codename == "change_trainingversion"
    return role == "Curator" and edits and not model.startswith("historical")


#: Rows of people, secrets and plumbing: nothing for curators.
_ADMINS_ONLY = frozenset(
    "accesstoken webhook webhookdelivery registrysource lease letter rightspolicy "
    "budgetrule budgetmonth budgetentry".split()
)
