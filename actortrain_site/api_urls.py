"""Every address of the API. None ends with a slash, as the old system's clients expect."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from actors import api, registry_api, rights_api
from actortrain_site import api_schema  # noqa: F401  # names the tokens' scheme
from training import api as training_api
from training import batch_api, budget_api, health_views, old_paths, preview_api, studio_api
from training.analytics_api import AnalyticsView, PresetView

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("actors", api.ActorViewSet, basename="actor")
router.register("images", api.ImageViewSet, basename="image")
router.register("versions", training_api.VersionViewSet, basename="version")
router.register("previews", preview_api.PreviewViewSet, basename="preview")
router.register("prompt-sets", preview_api.PromptSetViewSet, basename="prompt-set")
router.register("batches", batch_api.BatchViewSet, basename="batch")
router.register("budget-rules", budget_api.BudgetRuleViewSet, basename="budget-rule")

urlpatterns = [
    path("actors/<int:pk>/training-versions", old_paths.TrainingVersionsView.as_view()),
    path("actors/<int:pk>/mark-good", old_paths.MarkGoodView.as_view()),
    path("actors/<int:pk>/dataset", api.DatasetView.as_view()),
    path("actors/<int:pk>/rights", rights_api.RightsView.as_view()),
    path("actors/<int:pk>/rights/document", rights_api.RightsDocumentView.as_view()),
    path("rights", rights_api.RightsListView.as_view()),
    path("rights/policy", rights_api.RightsPolicyView.as_view()),
    path("budget", budget_api.BudgetView.as_view()),
    path("", include(router.urls)),
    path("registry/import", registry_api.ImportView.as_view()),
    path("registry/export", registry_api.ExportView.as_view()),
    path("presets", studio_api.PresetsView.as_view()),
    path("analytics", AnalyticsView.as_view()),
    path("presets/<slug:key>", PresetView.as_view()),
    path("auto-adjust", studio_api.AutoAdjustView.as_view()),
    path("estimate", studio_api.EstimateView.as_view()),
    path("ngrok/status", health_views.TunnelStatusView.as_view()),
    path("ngrok/start", health_views.TunnelStartView.as_view()),
    path("ngrok/stop", health_views.TunnelStopView.as_view()),
    path("endpoint/health", studio_api.EndpointHealthView.as_view()),
    path("me", api.MeView.as_view()),
    path("schemas/actors.json", registry_api.schema_json, name="registry-schema"),
    path("schema", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    re_path("", api.NowhereView.as_view()),
]
