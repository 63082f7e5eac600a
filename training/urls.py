"""Pages of the library and of the trainings."""

from django.urls import path
from django.views.generic import RedirectView

from actors.permissions import requires
from training import views

urlpatterns = [
    path("", requires("view")(RedirectView.as_view(pattern_name="library")), name="home"),
    path("actors/", views.library, name="library"),
    path("actors/<int:pk>/", views.train, name="train"),
    path("actors/<int:pk>/draft", views.draft, name="draft"),
    path("actors/<int:pk>/start", views.start, name="start"),
    path("actors/<int:pk>/versions", views.versions, name="versions"),
    path("activity/", views.activity, name="activity"),
    path("trainings/<int:pk>/", views.training, name="training"),
    path("trainings/<int:pk>/console", views.console, name="console"),
    path("trainings/<int:pk>/cancel", views.cancel, name="cancel"),
    path("trainings/<int:pk>/retry", views.retry, name="retry"),
    path("trainings/<int:pk>/check", views.check_status, name="check-status"),
    path("trainings/<int:pk>/good", views.mark_good, name="mark-good"),
    path("trainings/<int:pk>/not-good", views.unmark_good, name="unmark-good"),
]
