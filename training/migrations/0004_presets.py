import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    # The built-in presets are made after every migrate (training/apps.py), as the roles are.

    dependencies = [
        ("training", "0003_batches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Preset",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.SlugField(help_text="What the API calls it; never changes.", max_length=40, unique=True),
                ),
                ("position", models.PositiveIntegerField(default=100)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "retired_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ("position", "pk")},
        ),
        migrations.CreateModel(
            name="PresetRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("label", models.CharField(max_length=80)),
                ("description", models.TextField(blank=True)),
                ("steps", models.FloatField(help_text="Factor on the recommended steps.")),
                ("learning_rate", models.FloatField(help_text="Factor on the recommended learning rate.")),
                ("warmup", models.FloatField(help_text="Share of the steps over which the learning rate rises.")),
                (
                    "fixed",
                    models.JSONField(
                        default=dict, help_text="Values that do not depend on the dataset, by parameter."
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=300)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "preset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="revisions", to="training.preset"
                    ),
                ),
                (
                    "restores",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="training.presetrevision",
                    ),
                ),
            ],
            options={"ordering": ("-number",)},
        ),
        migrations.AddConstraint(
            model_name="presetrevision",
            constraint=models.UniqueConstraint(
                fields=("preset", "number"), name="one_preset_revision_per_number"
            ),
        ),
        migrations.AddField(
            model_name="trainingversion",
            name="preset_edited",
            field=models.BooleanField(
                default=False,
                help_text="Values were changed after the preset: its results are not the preset's.",
            ),
        ),
        migrations.AddField(
            model_name="trainingversion",
            name="preset_revision",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="training.presetrevision",
            ),
        ),
    ]
