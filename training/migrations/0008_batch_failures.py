from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0007_scores")]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="failures",
            field=models.PositiveSmallIntegerField(
                default=0, editable=False, help_text="How many trainings failed in a row."
            ),
        ),
        migrations.AlterField(
            model_name="batch",
            name="note",
            field=models.TextField(blank=True, editable=False, help_text="Why it paused by itself."),
        ),
    ]
