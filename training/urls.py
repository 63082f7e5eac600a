"""Pages of the trainings."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
