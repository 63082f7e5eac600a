"""Pages and files of the registry."""

from django.urls import path

from actors import dataset_urls, files, registry_api, rights_urls, views

urlpatterns = [
    path("files/<path:key>", files.file, name="file"),
    path("actors.json", registry_api.registry_json, name="registry"),
    *dataset_urls.urlpatterns,
    *rights_urls.urlpatterns,
    path("theme", views.theme, name="theme"),
]
