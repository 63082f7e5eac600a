import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("actors", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Letter",
            fields=[
                (
                    "key",
                    models.CharField(
                        help_text="What it is about, said once.",
                        max_length=200,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("to", models.JSONField(default=list)),
                ("subject", models.CharField(max_length=300)),
                ("text", models.TextField()),
                ("written_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ("-written_at",),
            },
        ),
    ]
