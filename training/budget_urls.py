"""Pages of the budgets."""

from django.urls import path

from training import budget_views

urlpatterns = [
    path("account/budget", budget_views.own, name="account-budget"),
    path("budgets/", budget_views.all_budgets, name="budgets"),
]
