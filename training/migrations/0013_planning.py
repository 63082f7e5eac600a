import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0012_old_bills"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="cancelled_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="batchitem",
            name="own_values",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Any of the eleven, for this actor, over the batch's.",
            ),
        ),
        migrations.AlterField(
            model_name="batch",
            name="state",
            field=models.CharField(
                choices=[
                    ("planning", "Planning"),
                    ("planned", "Planned"),
                    ("running", "Running"),
                    ("paused", "Paused"),
                    ("done", "Done"),
                    ("cancelled", "Cancelled"),
                ],
                default="planning",
                editable=False,
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="batchitem",
            name="state",
            field=models.CharField(
                choices=[
                    ("planned", "can start"),
                    ("blocked", "can't start"),
                    ("left_out", "left out"),
                    ("waiting", "Waiting"),
                    ("launched", "training"),
                    ("completed", "Completed"),
                    ("failed", "Failed"),
                    ("cancelled", "Cancelled"),
                ],
                default="planned",
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="Planning",
            fields=[
                (
                    "batch",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="planning",
                        serialize=False,
                        to="training.batch",
                    ),
                ),
                (
                    "chosen",
                    models.JSONField(
                        default=list, help_text="Actor ids, in the order in which they were chosen."
                    ),
                ),
                ("total", models.PositiveIntegerField(default=0, help_text="How many were chosen.")),
                (
                    "asked",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("plan", "make the plan"),
                            ("begin", "look at every actor once more, and begin"),
                            ("retry", "look at the failed and blocked again, and try those that can start"),
                        ],
                        help_text="Empty: nothing.",
                        max_length=10,
                    ),
                ),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "looked",
                    models.PositiveIntegerField(default=0, help_text="How many of them have been looked at."),
                ),
                (
                    "ready",
                    models.PositiveIntegerField(default=0, help_text="How many of these can start."),
                ),
                (
                    "due_at",
                    models.DateTimeField(blank=True, help_text="When the sweep asks again.", null=True),
                ),
                (
                    "failures",
                    models.PositiveSmallIntegerField(default=0, help_text="How often looking broke off."),
                ),
                (
                    "trouble",
                    models.TextField(blank=True, help_text="Why what was asked last came to nothing."),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("asked", ""), _negated=True),
                        fields=["due_at"],
                        name="planning_is_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("total__lte", 20000)), name="batch_has_not_too_many_actors"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("asked", ""), ("due_at__isnull", False), _connector="OR"),
                        name="what_is_asked_is_due_at_some_time",
                    ),
                ],
            },
        ),
    ]
