from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("training", "0009_launched")]

    operations = [
        migrations.AddField(
            model_name="batchitem",
            name="judged_at",
            field=models.DateTimeField(
                blank=True, help_text="When the batch's rule looked at it.", null=True
            ),
        ),
        migrations.AddField(
            model_name="batchitem",
            name="judged_without_preview",
            field=models.BooleanField(default=False, help_text="None could be drawn for the rule."),
        ),
    ]
