"""Inspection of a dataset before anybody pays for a training.

Measuring reads each file once and keeps the numbers (``TrainingImage.measures``). Judging turns
numbers and captions into findings without reading a file, so that it runs again after every edit.
A finding is ``{"code", "level", "message"}``; a pair also names its ``twin``. Errors stop a launch
unless a Curator says why not, warnings never do.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from actors import faces, measures, variety
from actors.models import IMAGES_BEST, IMAGES_FLOOR, IMAGES_MANY, TrainingDataset, TrainingImage

Finding = dict[str, Any]
Level = Literal["error", "warning"]

#: Shorter side in pixels: below the first a training has nothing to learn from, below the second little.
SIDE_ERROR, SIDE_WARNING = 256, 512
#: ``measures.sharpness``: photographs and painted portraits in focus lie above 150; a Gaussian blur of
#: 1 px (at 512) leaves 20 to 240, of 2 px 4 to 50, of 4 px less than 11.
BLURRED, SOFT = 12.0, 30.0
BRIGHT, BURNT_SHARE = 215.0, 0.4
DARK, BLACK_SHARE = 35.0, 0.6
#: Longer side to shorter: buckets of trainers end about here.
EXTREME_ASPECT = 2.5
#: Width of the face as a part of the picture.
FACE_SMALL = 0.1
#: A second face counts from this part of the first one's width: it is no passer-by then.
SECOND_FACE = 0.5

#: Frames of one film are all alike: of half a million pairs so many an image are told, then the next.
MOST_TWINS = 3

#: Findings that only reading the file can make or take away.
FILE_CODES = ("unreadable", "unreachable", "wrong_format")

_FACE_WORDS = re.compile(
    r"\b(?:(?:blue|green|brown|hazel|grey|gray|amber|dark|bright|almond|hooded)[ -]eye[sd]?"
    r"|(?:black|brown|blonde?|red|auburn|ginger|grey|gray|white|dark|light|curly|straight|wavy|long|short)"
    r"(?: \w+)?[ -]hair(?:ed)?"
    r"|(?:pale|fair|tan(?:ned)?|olive|brown|dark|light|freckled)(?:[ -])skin(?:ned)?"
    r"|beard(?:ed)?|moustache|mustache|stubble|freckles|cheekbones?|jawline|dimples|wrinkles"
    r"|(?:oval|round|square|heart-shaped|narrow|long) face|(?:full|thin) lips|bald)\b",
    re.IGNORECASE,
)


def finding(code: str, level: Level, message: str, **more: Any) -> Finding:
    return {"code": code, "level": level, "message": message, **more}


# Judging: numbers and captions to findings


@transaction.atomic
def judge(dataset: TrainingDataset) -> None:
    """Writes the findings of every image and of the set. Reads no file; cheap after every edit."""
    dataset.lock()
    images = list(dataset.images.all().order_by("position", "id"))
    found = {image.pk: [*_kept(image), *image_findings(image, dataset)] for image in images}
    included = [image for image in images if image.included]
    for image, each in pair_findings(included) + stranger_findings(included, dataset):
        found[image.pk].append(each)
    changed = [image for image in images if image.findings != found[image.pk]]
    for image in changed:
        image.findings = found[image.pk]
    # Findings aren't edits: ``edit`` stays, so that nobody's open caption is refused for them.
    TrainingImage.objects.bulk_update(changed, ["findings"])
    dataset.findings, dataset.inspected_at = set_findings(included, dataset), timezone.now()
    TrainingDataset.objects.filter(pk=dataset.pk).update(
        findings=dataset.findings, inspected_at=dataset.inspected_at
    )
    dataset.write_verdict()


def _kept(image: TrainingImage) -> list[Finding]:
    """What only reading the file can tell."""
    return [each for each in image.findings if each["code"] in FILE_CODES]


def image_findings(image: TrainingImage, dataset: TrainingDataset) -> list[Finding]:
    """What one picture and its caption show by themselves."""
    found = [*size_findings(image), *light_findings(image.measures), *caption_findings(image, dataset)]
    if dataset.kind == TrainingDataset.Kind.PHOTOGRAPHS:
        found += face_findings(image.measures)
    return found


def size_findings(image: TrainingImage) -> list[Finding]:
    width, height = image.width or 0, image.height or 0
    if not width or not height:
        return []
    found, side = [], min(width, height)
    if side < SIDE_WARNING:
        level: Level = "error" if side < SIDE_ERROR else "warning"
        reason = f"{width} × {height} pixels; use at least {SIDE_WARNING} on the shorter side."
        found.append(finding("too_small", level, reason))
    if max(width, height) > side * EXTREME_ASPECT:
        reason = f"{width} × {height} is a narrow strip: trainings crop it. Cut it to the person."
        found.append(finding("extreme_aspect", "warning", reason))
    return found


def light_findings(numbers: dict[str, Any]) -> list[Finding]:
    """Sharpness and exposure."""
    if "sharpness" not in numbers:
        return []
    found = []
    if numbers["sharpness"] < SOFT:
        blurred = numbers["sharpness"] < BLURRED
        reason = f"Sharpness {numbers['sharpness']:.0f}; pictures in focus have 150 and more."
        found.append(finding("blurred", "error", reason) if blurred else finding("soft", "warning", reason))
    if numbers["brightness"] > BRIGHT or numbers["burnt"] > BURNT_SHARE:
        reason = f"{numbers['burnt']:.0%} of the middle is plain white: the face has lost its detail."
        found.append(finding("over_exposed", "warning", reason))
    if numbers["brightness"] < DARK or numbers["black"] > BLACK_SHARE:
        reason = f"{numbers['black']:.0%} of the middle is black: the face can hardly be seen."
        found.append(finding("under_exposed", "warning", reason))
    return found


def face_findings(numbers: dict[str, Any]) -> list[Finding]:
    """No face, several, or one too small. Nothing when faces were not looked for."""
    if "faces" not in numbers:
        return []
    seen = numbers["faces"]
    if not seen:
        reason = "No face found: turned away, covered, or a profile? Look at it before you train."
        return [finding("no_face", "warning", reason)]
    widths = [face["box"][2] for face in seen]
    several = [width for width in widths if width >= widths[0] * SECOND_FACE]
    if len(several) > 1:
        reason = f"{len(several)} faces: the LoRA would learn both. Crop it to one person."
        return [finding("several_faces", "error", reason)]
    if widths[0] < FACE_SMALL:
        reason = f"The face takes {widths[0]:.0%} of the width; come closer, or crop."
        return [finding("face_small", "warning", reason)]
    return []


def caption_findings(image: TrainingImage, dataset: TrainingDataset) -> list[Finding]:
    caption, trigger = image.caption.strip(), dataset.actor.trigger_token
    if not caption:
        return [finding("no_caption", "warning", "No caption: it trains on the trigger token alone.")]
    found = []
    if trigger.casefold() not in caption.casefold():
        found.append(finding("no_trigger", "warning", f"The caption lacks the trigger token {trigger}."))
    words = {match.group(0).lower() for match in _FACE_WORDS.finditer(caption.replace(trigger, ""))}
    if words:
        reason = (
            f"The caption describes the face ({', '.join(sorted(words))}): then the trigger won't learn it."
        )
        found.append(finding("describes_face", "warning", reason))
    return found


def pair_findings(images: list[TrainingImage]) -> list[tuple[TrainingImage, Finding]]:
    """Exact and near duplicates, told on both of each pair."""
    pairs: dict[tuple[int, int], str] = {}
    by_hash: dict[str, int] = {}
    for index, image in enumerate(images):
        if image.sha256:
            first = by_hash.setdefault(image.sha256, index)
            if first != index:
                pairs[first, index] = "duplicate"
    measured = [index for index, image in enumerate(images) if "hash" in image.measures]
    near = measures.twins(
        [images[index].measures["hash"] for index in measured],
        [images[index].measures["layout"] for index in measured],
    )
    for one, other in near:
        pairs.setdefault((measured[one], measured[other]), "near_duplicate")
    found: list[tuple[TrainingImage, Finding]] = []
    told: Counter[int] = Counter()
    for (one, other), code in sorted(pairs.items()):
        if max(told[one], told[other]) >= MOST_TWINS:
            continue
        told.update((one, other))
        how = "The same file as" if code == "duplicate" else "Nearly the same picture as"
        for image, twin in ((images[one], images[other]), (images[other], images[one])):
            message = f"{how} {twin.file_name}: it counts twice. Keep one."
            found.append((image, finding(code, "warning", message, twin=twin.pk)))
    return found


def stranger_findings(
    images: list[TrainingImage], dataset: TrainingDataset
) -> list[tuple[TrainingImage, Finding]]:
    """Photographs whose face is not the one that most others show."""
    if dataset.kind != TrainingDataset.Kind.PHOTOGRAPHS:
        return []
    with_face = [image for image in images if image.measures.get("faces")]
    odd = faces.strangers([image.measures["faces"][0]["embedding"] for image in with_face])
    return [
        (
            with_face[index],
            finding(
                "other_person",
                "error",
                f"Seems to show another person: {distance:.2f} from the others; one face stays below "
                f"{faces.SAME_PERSON}.",
            ),
        )
        for index, distance in odd
    ]


def set_findings(images: list[TrainingImage], dataset: TrainingDataset) -> list[Finding]:
    """What only the set as a whole shows: how many, and how varied."""
    count, (low, high) = len(images), IMAGES_BEST
    found = []
    if count < IMAGES_FLOOR:
        reason = f"{count} images; {IMAGES_FLOOR} is the floor, {low} to {high} train best."
        found.append(finding("too_few", "error", reason))
    elif count > IMAGES_MANY:
        reason = f"{count} images dilute the likeness; choose the best {low} to {high}."
        found.append(finding("too_many", "warning", reason))
    return [*found, *(finding(code, "warning", reason) for code, reason in variety.lacking(images, dataset))]


def notes(dataset: TrainingDataset, images: list[TrainingImage]) -> list[str]:
    """What was not checked on the used images, and why: silence must not look like praise."""
    if dataset.kind == TrainingDataset.Kind.DRAWN:
        return ["The images are drawn: faces are not checked as photographs."]
    if not faces.available():
        return ["Face checks are off: install requirements/faces.txt to switch them on."]
    reason = variety.why_unmeasured(images, dataset)
    return [reason] if reason else []
