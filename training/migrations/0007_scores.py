import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("actors", "0001_initial"),
        ("training", "0006_standing"),
    ]

    operations = [
        migrations.CreateModel(
            name="VersionScore",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("value", models.FloatField(help_text="Likeness in percent; null when it can't be measured.", null=True)),
                ("low", models.FloatField(help_text="Lower end of the 95 % interval; null with two pictures.", null=True)),
                ("high", models.FloatField(help_text="Upper end of the 95 % interval.", null=True)),
                ("pictures", models.PositiveIntegerField(default=0, help_text="Pictures with the trigger that were measured.")),
                ("compared_with", models.PositiveIntegerField(default=0, help_text="Training images they were compared with.")),
                ("reason", models.CharField(blank=True, help_text="Why there is no likeness.", max_length=400)),
                ("bleed", models.FloatField(help_text="How far prompts without the trigger moved towards the actor, in percent of the way there.", null=True)),
                ("bleed_low", models.FloatField(null=True)),
                ("bleed_high", models.FloatField(null=True)),
                ("bleed_pictures", models.PositiveIntegerField(default=0)),
                ("bleed_reason", models.CharField(blank=True, help_text="Why there is no bleed.", max_length=400)),
                ("scorer", models.CharField(blank=True, help_text="Name and version of what measured.", max_length=100)),
                ("measured_on", models.CharField(blank=True, help_text="Which pictures, in words.", max_length=400)),
                ("yardstick", models.CharField(blank=True, help_text="Hash of the training images: scores of one yardstick compare.", max_length=64)),
                ("inputs", models.CharField(blank=True, help_text="Hash of everything that was looked at.", max_length=64)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("retry_at", models.DateTimeField(blank=True, db_index=True, help_text="When the object store is asked again.", null=True)),
                ("dataset_revision", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="actors.datasetrevision")),
                ("version", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="score", to="training.trainingversion")),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("value__isnull", False), models.Q(("reason", ""), _negated=True), _connector="OR"), name="score_or_reason")],
            },
        ),
    ]
