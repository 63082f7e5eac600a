"""A studio in paint: actors with pictures that are there, samples and previews that look like them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from django.core.files.base import ContentFile
from django.db.models import Max
from django.utils import timezone
from PIL import Image, ImageFilter

from actors import storage
from actors.models import Actor
from tests.factories import make_actor
from training import preview_reports
from training.models import Batch, Preview, SampleImage, TrainingVersion
from worker.portraits import Portrait, paint, random_portrait, random_scene

SKINS = {"pale": "nordic", "fair": "european", "tan": "latin", "brown": "south_asian", "dark": "black"}
YEARS = {"young": 24, "middle-aged": 44, "old": 68}


@dataclass
class Studio:
    """What the pages of a furnished studio are about."""

    pixels: int
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    cast: dict[str, Actor] = field(default_factory=dict)
    versions: dict[str, TrainingVersion] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    previews: dict[str, Preview] = field(default_factory=dict)
    faces: dict[int, Portrait] = field(default_factory=dict)

    # Painting

    def paint(self, face: Portrait, blur: float = 0) -> bytes:
        """The person in some scene, as a PNG."""
        image = paint(random_scene(face, self.rng), self.pixels, oversample=2)
        return as_png(image.filter(ImageFilter.GaussianBlur(blur * self.pixels)) if blur else image)

    def add_actor(self, images: int = 16) -> Actor:
        """Somebody with pictures that are there, inspected and fit."""
        face = random_portrait(self.rng)
        age, sex = YEARS[face.age] + self.rng.randrange(9), "female" if face.sex == "woman" else "male"
        ethnicity = SKINS[face.skin]
        last = Actor.objects.aggregate(last=Max("pk"))["last"] or 0
        name = f"{last + 1:04d}_{ethnicity}_{age}_{sex}"
        actor = make_actor(images=images, name=name, age=age, sex=sex, ethnicity=ethnicity)
        self.faces[actor.pk] = face
        scenes = [self.paint(face) for _ in range(min(images, 4))]
        for number, image in enumerate(actor.dataset.images.all()):
            storage.save(f"actors/{actor.pk}/{image.file_name}", ContentFile(scenes[number % 4]))
            storage.save(image.thumbnail_key, ContentFile(scenes[number % 4]))
        actor.dataset.images.update(has_thumbnail=True, inspected_at=timezone.now(), width=512, height=512)
        actor.dataset.write_verdict()
        return actor

    def add_samples(self, version: TrainingVersion, steps: Sequence[int], prompts: int = 6) -> None:
        """A strip for each step; the first is the base alone, the last prompts are without the trigger."""
        face, stranger = self.faces[version.actor_id], random_portrait(random.Random(5))
        for step in steps:
            for index, prompt in enumerate(version.sample_prompts()[:prompts]):
                shown = face if step and index < 4 else stranger
                url = storage.save(version.sample_key(step, index), ContentFile(self.paint(shown)))
                SampleImage.objects.create(
                    version=version, step=step, prompt_index=index, prompt=prompt.prompt, url=url
                )

    def add_pictures(self, preview: Preview, most: int = 99) -> Preview:
        """As a worker would store them."""
        face, stranger = self.faces[preview.version.actor_id], random_portrait(random.Random(6))
        for image in preview.images.all()[:most]:
            shown = face if image.strength >= 0.5 and image.with_trigger else stranger
            storage.save(preview.image_key(image.position), ContentFile(self.paint(shown)))
        preview_reports.recover(preview)
        return preview


def as_png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
