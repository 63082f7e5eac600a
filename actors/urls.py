"""Pages and files of the registry."""

from django.urls import path

from actors import files, registry_api, views

urlpatterns = [
    path("files/<path:key>", files.file, name="file"),
    path("actors.json", registry_api.registry_json, name="registry"),
    path("actors/<int:actor_id>/dataset", views.dataset, name="dataset"),
    path("actors/<int:actor_id>/images/<int:image_id>", views.include_image, name="include-image"),
    path("theme", views.theme, name="theme"),
]
