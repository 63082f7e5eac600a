"""Pages and files of the registry."""

from django.urls import path

from actors import files, views

urlpatterns = [
    path("files/<path:key>", files.file, name="file"),
    path("actors.json", views.registry_json, name="registry"),
]
