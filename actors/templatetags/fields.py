"""Form fields of other libraries, in the site's clothes."""

from __future__ import annotations

from django import template
from django.forms import BoundField, CheckboxInput, RadioSelect
from django.forms.widgets import CheckboxSelectMultiple, Select
from django.utils.html import format_html
from django.utils.safestring import SafeString

from actors.templatetags.look import icon

register = template.Library()


@register.filter
def boxed(field: BoundField) -> SafeString:
    """The field's widget with the class that the style sheet draws; boxes to tick keep their own."""
    plain = isinstance(field.field.widget, (CheckboxInput, RadioSelect, CheckboxSelectMultiple))
    attrs: dict[str, str | bool] = {} if plain else {"class": "in"}
    if str(field.field.widget.attrs.get("placeholder", "")).startswith(str(field.label)):
        attrs["placeholder"] = ""  # says the label once more
    widget = field.as_widget(attrs=attrs)
    if isinstance(field.field.widget, Select):
        return format_html('<span class="sel">{}{}</span>', widget, icon("down"))
    return widget


@register.filter
def is_tick(field: BoundField) -> bool:
    """Whether the label belongs behind the box."""
    return isinstance(field.field.widget, CheckboxInput)
