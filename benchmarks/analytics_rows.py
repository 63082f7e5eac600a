"""What the dashboard counts, on top of ``studio_rows``: two years of trainings, with previews and scores."""

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
  cost_usd = round((325 + id * 31 %% 400000 / 1000) * 0.0005, 4),
  preview_cost_usd = CASE WHEN id %% 9 > 0 THEN round((20 + id %% 30) * 0.0005, 4) END,
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

SCORES = """
INSERT INTO training_versionscore (version_id, value, low, high, pictures, compared_with, reason,
  bleed_pictures, bleed_reason, scorer, measured_on, yardstick, inputs, at)
SELECT id, 40 + id % 55, 38 + id % 55, 42 + id % 55, 9, 15, '', 0, '', 'small 1', '', '', '', finished_at
FROM training_trainingversion WHERE status = 'completed'
"""
PREVIEWS = """
INSERT INTO training_preview (version_id, title, automatic, status, error, stage, log, endpoint_id,
  request_id, worker_id, execution_ms, cost_usd, poll_failures, presumed, created_at, started_at,
  finished_at, updated_at)
SELECT id, 'Standard', true, 'done', '', 'done', '[]', 'local', 'preview ' || id, '', 1000 * (20 + id % 30),
  preview_cost_usd, 0, false, finished_at, finished_at, finished_at, finished_at
FROM training_trainingversion WHERE status = 'completed' AND preview_cost_usd IS NOT NULL
"""


def spread() -> None:
    """Over people, presets, sizes and days; every ninth fails. PostgreSQL only."""
    people = User.objects.bulk_create(User(username=f"person{number:02d}") for number in range(PEOPLE))
    presets: list[int | None] = [*PresetRevision.objects.values_list("pk", flat=True), None]
    statement = SPREAD.format(days=DAYS, people=PEOPLE, errors=len(ERRORS))
    with connection.cursor() as cursor:
        cursor.execute(statement, [[person.pk for person in people], presets, list(ERRORS)])
        for rows in (SCORES, PREVIEWS):
            cursor.execute(rows)
        cursor.execute("VACUUM ANALYZE")  # autovacuum would do it a minute later
    assert TrainingVersion.objects.filter(status=Status.FAILED).exists()
