"""Pages of the trainings."""

from django.urls import include, path
from django.views.generic import RedirectView

from training import action_views, list_views, live_views, score_views, styleguide, version_views, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="library", query_string=True), name="home"),
    path("actors/", list_views.library, name="library"),
    path("actors/<int:actor_id>/", views.train, name="actor"),
    path("actors/<int:actor_id>/start", views.start, name="start"),
    path("actors/<int:actor_id>/draft", views.keep_draft, name="keep-draft"),
    path("actors/<int:actor_id>/draft/discard", views.discard_draft, name="discard-draft"),
    path("actors/<int:actor_id>/payload", views.payload, name="payload"),
    path("actors/<int:actor_id>/versions", version_views.versions, name="versions"),
    path("actors/<int:actor_id>/measure", score_views.measure, name="measure"),
    path("actors/<int:actor_id>/history", version_views.history, name="history"),
    path("actors/<int:actor_id>/compare", version_views.compare, name="compare"),
    path("actors/<int:actor_id>/use", version_views.use, name="use"),
    path("actors/<int:actor_id>/roll-back", action_views.roll_back_good, name="roll-back-good"),
    path("styleguide", styleguide.styleguide, name="styleguide"),
    path("activity/", list_views.activity, name="activity"),
    path("batches/", include("training.batch_urls")),
    path("trainings/<int:pk>/", live_views.training, name="training"),
    path("trainings/<int:pk>/cancel", action_views.cancel, name="cancel"),
    path("trainings/<int:pk>/check", action_views.check_status, name="check-status"),
    path("trainings/<int:pk>/good", action_views.mark_good, name="mark-good"),
    path("trainings/<int:pk>/not-good", action_views.unmark_good, name="unmark-good"),
    path("trainings/<int:pk>/console.txt", live_views.console, name="console"),
    path("trainings/<int:pk>/lora", live_views.lora, name="lora"),
    path("trainings/<int:pk>/retry", action_views.retry, name="retry"),
]
