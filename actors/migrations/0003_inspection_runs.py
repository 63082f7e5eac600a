"""One task at a time inspects a dataset."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actors", "0002_letters")]
    operations = [
        migrations.CreateModel(
            name="InspectionRun",
            fields=[
                (
                    "dataset",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="inspection_run",
                        serialize=False,
                        to="actors.trainingdataset",
                    ),
                ),
                (
                    "seen_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When its task was last heard of.",
                    ),
                ),
            ],
        ),
        migrations.AlterField(
            model_name="datasetchange",
            name="before",
            field=models.JSONField(
                default=dict, help_text="Image id, “dataset” or “actor” to the fields' old values."
            ),
        ),
        migrations.AlterField(
            model_name="datasetchange",
            name="after",
            field=models.JSONField(default=dict, help_text="As before, to the new values."),
        ),
    ]
