from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("training", "0004_presets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BudgetMonth",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.DateField()),
                ("spent", models.DecimalField(decimal_places=4, default=Decimal("0.0000"), max_digits=12)),
                ("reserved", models.DecimalField(decimal_places=4, default=Decimal("0.0000"), max_digits=12)),
                ("trainings", models.PositiveIntegerField(default=0)),
                (
                    "warned",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="The highest threshold, in percent, that was told."
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget_months",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("-month",),
            },
        ),
        migrations.CreateModel(
            name="BudgetEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("training", "Training"), ("preview", "Preview")], max_length=20
                    ),
                ),
                ("object_id", models.PositiveBigIntegerField()),
                ("label", models.CharField(max_length=400)),
                (
                    "reserved",
                    models.DecimalField(
                        decimal_places=4, help_text="The estimate at its start.", max_digits=12
                    ),
                ),
                (
                    "spent",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="The real cost; empty until it has ended.",
                        max_digits=12,
                        null=True,
                    ),
                ),
                ("counts", models.BooleanField(help_text="Whether it is one of the month's trainings.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "month",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entries",
                        to="training.budgetmonth",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "budget entries",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="BudgetRule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "dollars",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="US dollars a month; empty for no ceiling.",
                        max_digits=10,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "trainings",
                    models.PositiveIntegerField(
                        blank=True, help_text="Trainings a month; empty for no ceiling.", null=True
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "group",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget_rule",
                        to="auth.group",
                        verbose_name="role",
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget_rule",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="HistoricalBudgetRule",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID"),
                ),
                (
                    "dollars",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="US dollars a month; empty for no ceiling.",
                        max_digits=10,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                (
                    "trainings",
                    models.PositiveIntegerField(
                        blank=True, help_text="Trainings a month; empty for no ceiling.", null=True
                    ),
                ),
                ("history_change_reason", models.TextField(null=True)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                (
                    "history_type",
                    models.CharField(
                        choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="auth.group",
                        verbose_name="role",
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical budget rule",
                "verbose_name_plural": "historical budget rules",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.AddConstraint(
            model_name="budgetmonth",
            constraint=models.UniqueConstraint(
                fields=("user", "month"), name="one_ledger_per_person_and_month"
            ),
        ),
        migrations.AddIndex(
            model_name="budgetentry",
            index=models.Index(
                condition=models.Q(("spent", None)), fields=["kind"], name="open_budget_entries"
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetentry",
            constraint=models.UniqueConstraint(fields=("kind", "object_id"), name="one_budget_entry_each"),
        ),
        migrations.AddConstraint(
            model_name="budgetrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("user", None), ("group", None), _connector="OR"),
                name="budget_of_a_person_or_a_role",
                violation_error_message="Choose a person or a role, not both.",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetrule",
            constraint=models.UniqueConstraint(
                models.Value(1),
                condition=models.Q(("group", None), ("user", None)),
                name="one_budget_for_everybody",
                violation_error_message="There is a budget for everybody already.",
            ),
        ),
    ]
