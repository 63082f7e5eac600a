"""What the dataset page shows beside the pictures: verdict, findings to decide, coverage, storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from actors import inspection, variety
from actors.models import DatasetChange, ImageUpload, TrainingDataset, TrainingImage, Verdict

#: Lists of the page: a label, and which images belong to it.
SHOWS: dict[str, tuple[str, Callable[[TrainingImage], bool]]] = {
    "all": ("All", lambda _: True),
    "used": ("Used", lambda image: image.included),
    "out": ("Left out", lambda image: not image.included),
    "findings": ("Findings", lambda image: image.included and bool(image.open_findings())),
}
#: Short words for a thumbnail and headings, by finding code.
WORDS = {
    "too_small": "Too small",
    "extreme_aspect": "Narrow strip",
    "blurred": "Blurred",
    "soft": "Soft",
    "over_exposed": "Too bright",
    "under_exposed": "Too dark",
    "unreadable": "Unreadable",
    "unreachable": "Out of reach",
    "wrong_format": "Wrong format",
    "no_face": "No face",
    "several_faces": "Several faces",
    "face_small": "Small face",
    "other_person": "Other person",
    "duplicate": "Duplicate",
    "near_duplicate": "Twin",
    "no_caption": "No caption",
    "no_trigger": "No trigger",
    "describes_face": "Describes face",
    "too_few": "Too few images",
    "too_many": "Too many images",
    "one_pose": "One pose",
    "one_expression": "One expression",
}
#: Findings told beside the pictures at once; the list "Findings" has all.
MOST = 20


def numbered(dataset: TrainingDataset) -> list[TrainingImage]:
    """The images in order, each with its frame ``number`` and its ``worst`` finding for the thumbnail."""
    images = list(dataset.images.all())
    numbers = {image.pk: number for number, image in enumerate(images, start=1)}
    for image in images:
        # A missing caption shows by itself, in the caption's place.
        found = sorted(
            image.open_findings(), key=lambda each: (each["level"] != "error", each["code"] == "no_caption")
        )
        worst = dict(found[0]) if found else None
        if worst:
            twin = numbers.get(worst.get("twin", 0))
            worst["word"] = f"Twin of {twin:02d}" if twin else WORDS.get(worst["code"], worst["code"])
            worst["more"] = len(found) - 1
        image.number, image.worst = numbers[image.pk], worst  # type: ignore[attr-defined]  # for the page
        # All captions start alike, and two lines under a thumbnail are short: show where they differ.
        start = f"portrait of {dataset.actor.trigger_token}, "
        image.told = image.caption.removeprefix(start)  # type: ignore[attr-defined]  # for the page
    return images


def in_numbers(finding: dict[str, Any], twin: TrainingImage | None) -> str:
    """What was found, with the number of the image's twin: on a page a file's name says less."""
    message: str = finding["message"]
    return message.replace(twin.file_name, f"{twin.number:02d}") if twin else message  # type: ignore[attr-defined]  # numbered


@dataclass
class Side:
    """The column beside the pictures."""

    dataset: TrainingDataset
    images: list[TrainingImage]

    @cached_property
    def used(self) -> list[TrainingImage]:
        return [image for image in self.images if image.included]

    @cached_property
    def verdict(self) -> Verdict:
        return Verdict(self.dataset.verdict)

    @property
    def verdict_state(self) -> str:
        """Which state of the look it is."""
        return {Verdict.FIT: "fit", Verdict.NOT_INSPECTED: "training"}.get(self.verdict, "unfit")

    @property
    def waiting(self) -> int:
        """Images that a task still has to look at."""
        return sum(image.inspected_at is None and image.is_synced for image in self.images)

    @property
    def unsynced(self) -> int:
        return sum(not image.is_synced for image in self.used)

    @property
    def arriving(self) -> int:
        """Imports that a task still has to fetch."""
        return self._imports.filter(state=ImageUpload.State.WORKING).count()

    @cached_property
    def refused(self) -> list[ImageUpload]:
        """Imports that came to nothing, and why; uploads say so where they are sent from."""
        return list(self._imports.filter(state=ImageUpload.State.REFUSED)[:MOST])

    @property
    def _imports(self) -> QuerySet[ImageUpload]:
        return self.dataset.uploads.exclude(source_url="")

    @property
    def notes(self) -> list[str]:
        return [*inspection.notes(self.dataset, self.used), *self.dataset.claim_warnings()]

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        """To decide, errors first; a pair once. Captions are told in one line, not one by one."""
        by_pk = {image.pk: image for image in self.images}
        found: list[dict[str, Any]] = [
            {**each, "word": WORDS.get(each["code"], each["code"])} for each in self.dataset.findings
        ]
        pairs: set[frozenset[int]] = set()
        for image in self.used:
            for each in image.open_findings():
                if each["code"] == "no_caption":
                    continue
                twin = by_pk.get(each.get("twin", 0))
                pair = frozenset((image.pk, twin.pk)) if twin else frozenset()
                if pair and pair in pairs:
                    continue
                pairs.add(pair)
                told = {**each, "word": WORDS.get(each["code"], each["code"]), "image": image, "other": twin}
                told["message"] = in_numbers(each, twin)
                found.append(told)
        return sorted(found, key=lambda each: each["level"] != "error")

    @property
    def first_findings(self) -> list[dict[str, Any]]:
        return self.findings[:MOST]

    @property
    def more_findings(self) -> int:
        return max(0, len(self.findings) - MOST)

    @property
    def errors(self) -> int:
        return sum(each["level"] == "error" for each in self.findings)

    @property
    def to_decide(self) -> dict[str, Any] | None:
        """The first finding of one image that keeps a training from starting."""
        return next((each for each in self.findings if each["level"] == "error" and "image" in each), None)

    @property
    def uncaptioned(self) -> int:
        return sum(not image.caption for image in self.used)

    @property
    def accepted(self) -> list[tuple[TrainingImage, str, dict[str, str]]]:
        """Findings that somebody has accepted, with their reason."""
        return [
            (image, WORDS.get(code, code), entry)
            for image in self.used
            for code, entry in image.accepted.items()
            if any(each["code"] == code for each in image.findings)
        ]

    @cached_property
    def coverage(self) -> list[tuple[str, int]]:
        """Pose, framing and expression of the used images."""
        kinds = variety.coverage(self.used)
        return [(word.capitalize(), count) for words in kinds.values() for word, count in words.most_common()]

    @property
    def size_bytes(self) -> int:
        return sum(image.size_bytes or 0 for image in self.images)

    @property
    def last_change(self) -> DatasetChange | None:
        """What an undo would take back."""
        return self.dataset.changes.filter(undone_at=None).exclude(before={}).select_related("by").first()
