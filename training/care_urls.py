"""What keeps trainings true: decisions about lost answers."""

from django.urls import path

from training import resolve_views

urlpatterns = [
    path("trainings/<int:pk>/resubmit", resolve_views.resubmit, name="resubmit"),
    path("trainings/<int:pk>/give-up", resolve_views.give_up, name="give-up"),
]
