"""Addresses of an actor's dataset."""

from django.urls import include, path

from actors import dataset_store_views, dataset_views, uploads

_below = [
    path("start", uploads.start, name="upload-start"),
    path("uploads/<uuid:upload_id>", uploads.status, name="upload-status"),
    path("uploads/<uuid:upload_id>/finish", uploads.finish, name="upload-finish"),
    path("files", uploads.form, name="upload-form"),
    path("urls", uploads.urls, name="upload-urls"),
    path("clear", uploads.clear, name="upload-clear"),
    path("kind", dataset_store_views.kind, name="dataset-kind"),
    path("decide", dataset_views.decide, name="dataset-decide"),
    path("captions", dataset_views.captions, name="dataset-captions"),
    path("undo", dataset_views.undo, name="dataset-undo"),
    path("order", dataset_views.order, name="dataset-order"),
    path("poster", dataset_views.poster, name="dataset-poster"),
    path("sync", dataset_store_views.sync, name="dataset-sync"),
    path("inspect", dataset_store_views.inspect, name="dataset-inspect"),
    path("pair/<int:one>/<int:other>", dataset_views.pair, name="dataset-pair"),
    path("since/<int:number>", dataset_views.changes, name="dataset-changes"),
]

urlpatterns = [
    path("actors/<int:actor_id>/dataset", dataset_views.dataset, name="dataset"),
    path("actors/<int:actor_id>/dataset.zip", dataset_store_views.download, name="dataset-zip"),
    path("actors/<int:actor_id>/dataset/", include(_below)),
    path("actors/<int:actor_id>/images/<int:image_id>", dataset_views.image, name="dataset-image"),
]
