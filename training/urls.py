"""Pages of the trainings."""

from django.urls import URLPattern, path

urlpatterns: list[URLPattern] = []
