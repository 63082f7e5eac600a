from typing import Any

from django.db import migrations, models
from django.db.models import Exists, OuterRef


def write_verdicts(apps: Any, schema_editor: object) -> None:
    """As ``TrainingDataset.write_verdict`` does from now on."""
    Dataset, Image = (apps.get_model("actors", name) for name in ("TrainingDataset", "TrainingImage"))
    included = Image.objects.filter(included=True, dataset=OuterRef("pk"))
    datasets = Dataset.objects.filter(Exists(included)).prefetch_related("images")
    Dataset.objects.filter(~Exists(included)).update(verdict="not_fit")
    for dataset in datasets.iterator(chunk_size=200):
        images = [image for image in dataset.images.all() if image.included]
        levels = {finding["level"] for finding in dataset.findings} | {
            finding["level"]
            for image in images
            for finding in image.findings
            if finding["code"] not in image.accepted
        }
        seen = all(image.inspected_at for image in images)
        verdict = "not_inspected" if not seen else "warnings" if levels else "fit"
        Dataset.objects.filter(pk=dataset.pk).update(verdict="not_fit" if "error" in levels else verdict)


class Migration(migrations.Migration):
    dependencies = [("actors", "0005_registry_sources")]

    operations = [
        migrations.AddField(
            model_name="trainingdataset",
            name="verdict",
            field=models.CharField(
                choices=[
                    ("fit", "Fit"),
                    ("warnings", "Fit with warnings"),
                    ("not_fit", "Not fit"),
                    ("not_inspected", "Not inspected yet"),
                ],
                default="not_inspected",
                editable=False,
                help_text="Whether a training makes sense; written with every change of images or findings.",
                max_length=20,
            ),
        ),
        migrations.RunPython(write_verdicts, migrations.RunPython.noop),
    ]
