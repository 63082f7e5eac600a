"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

from training.webhooks import training_webhook

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("api/training-webhook/<str:token>", training_webhook, name="training-webhook"),
    path("", include("actors.urls")),
    path("", include("training.urls")),
]
