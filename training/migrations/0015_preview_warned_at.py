from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("training", "0014_old_choices"),
    ]

    operations = [
        migrations.AddField(
            model_name="preview",
            name="warned_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
