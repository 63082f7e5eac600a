"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path

from actors import account_views
from training.preview_webhooks import preview_webhook
from training.webhooks import training_webhook

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("account/tokens", account_views.tokens, name="account-tokens"),
    path("account/tokens/<str:pk>/revoke", account_views.revoke, name="account-token-revoke"),
    path("api/training-webhook/<str:token>", training_webhook, name="training-webhook"),
    path("api/preview-webhook/<str:token>", preview_webhook, name="preview-webhook"),
    path("api/", include("actortrain_site.api_urls")),
    path("", include("actors.urls")),
    path("", include("training.budget_urls")),
    path("", include("training.care_urls")),
    path("", include("training.analytics_urls")),
    path("", include("training.preview_urls")),
    path("", include("training.urls")),
]
