"""Pages of the likeness rights."""

from django.urls import path

from actors import rights_views

urlpatterns = [
    path("rights/", rights_views.all_rights, name="all-rights"),
    path("rights/policy", rights_views.policy, name="rights-policy"),
    path("actors/<int:actor_id>/rights", rights_views.rights, name="rights"),
    path("actors/<int:actor_id>/rights/document", rights_views.document, name="rights-document"),
    path("actors/<int:actor_id>/rights/remove", rights_views.remove, name="rights-remove"),
]
