"""Pages and files of the registry."""

from django.urls import path

from actors import api, files

urlpatterns = [
    path("files/<path:key>", files.file, name="file"),
    path("actors.json", api.registry_json, name="registry"),
]
