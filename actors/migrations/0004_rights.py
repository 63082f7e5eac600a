import django.db.models.deletion
import django.utils.timezone
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actors", "0003_inspection_runs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoricalLikenessRights",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID"),
                ),
                (
                    "basis",
                    models.CharField(
                        choices=[
                            ("synthetic", "Synthetic: no such person exists"),
                            ("consent", "Consent of the person"),
                            ("licence", "Licence"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "reference",
                    models.CharField(
                        blank=True,
                        help_text="Where the paper is: a contract's number, a folder.",
                        max_length=500,
                    ),
                ),
                (
                    "document",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The uploaded file's key in the object store.",
                        max_length=300,
                    ),
                ),
                ("document_name", models.CharField(blank=True, editable=False, max_length=300)),
                ("document_sha256", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "valid_from",
                    models.DateField(blank=True, help_text="Empty: from the beginning.", null=True),
                ),
                (
                    "expires_on",
                    models.DateField(blank=True, help_text="The last valid day. Empty: for ever.", null=True),
                ),
                ("note", models.TextField(blank=True)),
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
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="actors.actor",
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
            ],
            options={
                "verbose_name": "historical likeness rights",
                "verbose_name_plural": "historical likeness rights",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="HistoricalRightsPolicy",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID"),
                ),
                (
                    "required",
                    models.BooleanField(
                        default=False,
                        help_text="Actors without rights on record can neither be trained nor previewed.",
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
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical rights policy",
                "verbose_name_plural": "historical rights policy",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="LikenessRights",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "basis",
                    models.CharField(
                        choices=[
                            ("synthetic", "Synthetic: no such person exists"),
                            ("consent", "Consent of the person"),
                            ("licence", "Licence"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "reference",
                    models.CharField(
                        blank=True,
                        help_text="Where the paper is: a contract's number, a folder.",
                        max_length=500,
                    ),
                ),
                (
                    "document",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The uploaded file's key in the object store.",
                        max_length=300,
                    ),
                ),
                ("document_name", models.CharField(blank=True, editable=False, max_length=300)),
                ("document_sha256", models.CharField(blank=True, editable=False, max_length=64)),
                (
                    "valid_from",
                    models.DateField(blank=True, help_text="Empty: from the beginning.", null=True),
                ),
                (
                    "expires_on",
                    models.DateField(blank=True, help_text="The last valid day. Empty: for ever.", null=True),
                ),
                ("note", models.TextField(blank=True)),
                ("turns_on", models.DateField(db_index=True, editable=False, null=True)),
                (
                    "told",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="The last threshold that was told by letter.",
                        max_length=20,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "actor",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rights", to="actors.actor"
                    ),
                ),
                (
                    "updated_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "likeness rights",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_from", None),
                            ("expires_on", None),
                            ("expires_on__gte", models.F("valid_from")),
                            _connector="OR",
                        ),
                        name="rights_end_after_they_begin",
                        violation_error_message="The last valid day lies before the first one.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RightsPolicy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "required",
                    models.BooleanField(
                        default=False,
                        help_text="Actors without rights on record can neither be trained nor previewed.",
                    ),
                ),
                ("updated_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                (
                    "updated_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "rights policy",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("pk", 1)), name="one_rights_policy")
                ],
            },
        ),
    ]
