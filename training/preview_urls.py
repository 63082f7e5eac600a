"""Pages of previews and prompt sets."""

from django.urls import path

from training import preview_list, preview_views, prompt_set_views

urlpatterns = [
    path("trainings/<int:pk>/previews", preview_views.version_previews, name="previews"),
    path("trainings/<int:pk>/grid", preview_views.grid, name="preview-grid"),
    path("previews/", preview_list.drawn, name="drawn"),
    path("previews/<int:pk>/", preview_views.preview, name="preview"),
    path("previews/<int:pk>/cancel", preview_views.cancel, name="preview-cancel"),
    path("previews/<int:pk>/check", preview_views.check_status, name="preview-check"),
    path("previews/<int:pk>/send-again", preview_views.send_again, name="preview-send-again"),
    path("previews/<int:pk>/give-up", preview_views.give_up, name="preview-give-up"),
    path("previews/<int:pk>/again", preview_views.draw_again, name="preview-again"),
    path("previews/<int:pk>/delete", preview_views.delete, name="preview-delete"),
    path("prompt-sets/", prompt_set_views.prompt_sets, name="prompt-sets"),
    path("prompt-sets/settings", prompt_set_views.settings, name="preview-settings"),
    path("prompt-sets/new", prompt_set_views.new_prompt_set, name="prompt-set-new"),
    path("prompt-sets/<int:pk>", prompt_set_views.prompt_set, name="prompt-set"),
    path("prompt-sets/<int:pk>/standard", prompt_set_views.make_standard, name="prompt-set-standard"),
    path("prompt-sets/<int:pk>/delete", prompt_set_views.delete, name="prompt-set-delete"),
]
