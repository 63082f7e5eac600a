from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# As in 0009: what the dashboard reads of every version stands in one index. The costs are part of it now, and the
# key, which scores are joined by.
COLUMNS = """
    status, is_good, good_at, first_good_at, execution_ms, started_at, finished_at, request_id,
    created_by_id, preset_revision_id, preset_edited, image_count
"""
INDEX = "CREATE INDEX training_launched ON training_trainingversion (created_at) INCLUDE ({columns})"


def with_costs(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS training_launched")
        schema_editor.execute(INDEX.format(columns=f"{COLUMNS}, id, cost_usd, preview_cost_usd"))


def without_costs(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS training_launched")
        schema_editor.execute(INDEX.format(columns=COLUMNS))


class Migration(migrations.Migration):
    dependencies = [("training", "0010_batch_judgement")]

    operations = [
        migrations.AddField(
            model_name="trainingversion",
            name="cost_usd",
            field=models.DecimalField(
                blank=True,
                decimal_places=4,
                editable=False,
                help_text="What it was billed. Empty before its end, and where nothing had a price.",
                max_digits=12,
                null=True,
                verbose_name="cost in US dollars",
            ),
        ),
        migrations.AddField(
            model_name="trainingversion",
            name="bill",
            field=models.JSONField(
                blank=True,
                editable=False,
                help_text="Price, start and idle time that the cost was made out with.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="trainingversion",
            name="preview_cost_usd",
            field=models.DecimalField(
                blank=True,
                decimal_places=4,
                editable=False,
                help_text="Of all its previews that have ended.",
                max_digits=12,
                null=True,
                verbose_name="cost of its previews in US dollars",
            ),
        ),
        migrations.RunPython(with_costs, without_costs),
    ]
