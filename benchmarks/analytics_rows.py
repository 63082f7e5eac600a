"""Two years of trainings by twenty people, on top of ``studio_rows``: what the dashboard counts."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import connection

from training.models import PresetRevision, Status, TrainingVersion

PEOPLE = 20
DAYS = 730
ERRORS = (
    "The worker ran out of memory at step 212.",
    "Lost: the endpoint no longer knows this job, and no LoRA has arrived. Start it again.",
    "Image 7.png cannot be read as an image: replace or remove it.",
    "The endpoint stopped the job: it took longer than allowed. Train fewer steps, or try again.",
    "The loss is nan at step 90: the training went astray. Lower the learning rate.",
    "Something that nobody has a word for",
)
#: One statement: a version's number decides everything, so two runs fill alike.
SPREAD = """
UPDATE training_trainingversion SET
  request_id = id::text,
  created_at = launched,
  started_at = launched + (1 + id %% 7) * interval '1 minute',
  finished_at = launched + (12 + id %% 9) * interval '1 minute',
  execution_ms = 300000 + id * 31 %% 400000,
  delay_ms = 20000 + id * 17 %% 90000,
  image_count = 8 + id * 13 %% 70,
  created_by_id = (%s::int[])[1 + id %% {people}],
  preset_revision_id = (%s::int[])[1 + id %% 4],
  preset_edited = id %% 5 = 0 AND id %% 4 < 3,
  status = CASE WHEN NOT is_good AND id %% 9 = 0 THEN 'failed'
                WHEN NOT is_good AND id %% 31 = 0 THEN 'cancelled' ELSE status END,
  error = CASE WHEN NOT is_good AND id %% 9 = 0 THEN (%s::text[])[1 + id / 9 %% {errors}] ELSE error END,
  good_at = CASE WHEN is_good THEN launched + interval '1 day' END,
  first_good_at = CASE WHEN is_good THEN launched + interval '1 day' END
FROM (
  SELECT id AS key, now() - (id * 7919 %% {days}) * interval '1 day' - (id %% 1440) * interval '1 minute'
  AS launched FROM training_trainingversion
) AS times WHERE id = key
"""


def spread() -> None:
    """Over people, presets, sizes and days; every ninth fails. PostgreSQL only."""
    people = User.objects.bulk_create(User(username=f"person{number:02d}") for number in range(PEOPLE))
    presets: list[int | None] = [*PresetRevision.objects.values_list("pk", flat=True), None]
    statement = SPREAD.format(days=DAYS, people=PEOPLE, errors=len(ERRORS))
    with connection.cursor() as cursor:
        cursor.execute(statement, [[person.pk for person in people], presets, list(ERRORS)])
        cursor.execute("VACUUM ANALYZE")  # autovacuum would do it a minute later
    assert TrainingVersion.objects.filter(status=Status.FAILED).exists()
