import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actors", "0001_initial"),
        ("training", "0005_budgets"),
    ]

    operations = [
        migrations.CreateModel(
            name="StandingChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor_id", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="ActorStanding",
            fields=[
                (
                    "actor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="standing_row",
                        serialize=False,
                        to="actors.actor",
                    ),
                ),
                ("state", models.CharField(max_length=20)),
                ("images", models.PositiveIntegerField(default=0)),
                ("last_training", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField("parameterdraft", "texts", models.JSONField(default=dict, editable=False)),
        migrations.AddField("parameterdraft", "preset", models.CharField(blank=True, max_length=100)),
        migrations.RemoveIndex("trainingversion", "training_tr_created_5589f7_idx"),
        migrations.AddIndex(
            "trainingversion", models.Index(fields=["-created_at", "-id"], name="newest_first")
        ),
        migrations.AddIndex(
            "trainingversion",
            models.Index(
                condition=models.Q(status="completed"),
                fields=["base_model", "-finished_at"],
                name="completed_by_end",
            ),
        ),
    ]
