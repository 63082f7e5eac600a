"""Pages of the numbers: the dashboard, and the presets beside what they came to."""

from django.urls import path

from training import analytics_views, preset_views

urlpatterns = [
    path("analytics/", analytics_views.dashboard, name="analytics"),
    path("analytics/waiting", analytics_views.who_waits, name="analytics-waiting"),
    path("analytics/<slug:table>.csv", analytics_views.download, name="analytics-csv"),
    path("presets/", preset_views.presets, name="presets"),
    path("presets/new", preset_views.new_preset, name="preset-new"),
    path("presets/<slug:name>", preset_views.preset, name="preset"),
    path("presets/<slug:name>/retire", preset_views.retire, name="preset-retire"),
    path("presets/<slug:name>/restore/<int:number>", preset_views.restore, name="preset-restore"),
]
