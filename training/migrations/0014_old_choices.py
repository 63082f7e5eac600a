from typing import Any

from django.db import migrations


def keep_choices(apps: Any, _schema_editor: Any) -> None:
    """Batches that are there know whom they are about: one row each, from their items."""
    Planning = apps.get_model("training", "Planning")
    for batch in apps.get_model("training", "Batch").objects.order_by("pk"):
        chosen = list(batch.items.order_by("position", "pk").values_list("actor_id", flat=True))
        Planning.objects.get_or_create(batch=batch, defaults={"chosen": chosen, "total": len(chosen)})


class Migration(migrations.Migration):
    dependencies = [("training", "0013_planning")]

    operations = [migrations.RunPython(keep_choices, migrations.RunPython.noop)]
