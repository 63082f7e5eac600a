"""Pages of batches, below ``batches/``."""

from django.urls import path

from training import batch_item_views
from training import batch_views as views

urlpatterns = [
    path("", views.all_batches, name="batches"),
    path("new", views.new_batch, name="batch-new"),
    path("matching", views.matching_ids, name="batch-matching"),
    path("selected", views.selected, name="batch-selected"),
    path("<int:pk>/", views.batch, name="batch"),
    path("<int:pk>/change", views.change, name="batch-change"),
    path("<int:pk>/actors/<int:actor_id>", batch_item_views.item, name="batch-item"),
    path("<int:pk>/<slug:verb>", views.act, name="batch-act"),
]
