"""What keeps trainings true: decisions about lost answers, health, and the public address."""

from django.urls import path

from training import action_views, health_views

urlpatterns = [
    path("healthz", health_views.healthz, name="healthz"),
    path("health/", health_views.page, name="health"),
    path("health/tunnel", health_views.switch_tunnel, name="switch-tunnel"),
    path("trainings/<int:pk>/resubmit", action_views.resubmit, name="resubmit"),
    path("trainings/<int:pk>/give-up", action_views.give_up, name="give-up"),
]
