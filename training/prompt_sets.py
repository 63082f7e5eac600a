"""Prompt sets: what the studio draws with every version, so that versions can be compared.

A line's ``{trigger}`` becomes the version's trigger token. Lines without it show what the base draws
on its own, and so whether a LoRA bleeds into prompts that do not call for the actor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from training.base_models import EMBEDDED

TRIGGER = "{trigger}"
LINES_MOST = 32
PROMPT_LONGEST = 1000
SEED_MOST = 2**32 - 1
#: The first seed of a line that names none. Samples begin at 1000, so no picture is made twice.
FIRST_SEED = 2000


@dataclass(frozen=True)
class PromptLine:
    """One prompt and the seed of its first picture."""

    prompt: str
    seed: int

    @property
    def with_trigger(self) -> bool:
        """Whether it calls for the actor."""
        return TRIGGER in self.prompt


class PromptSet(models.Model):
    """Prompts with fixed seeds, shared by the studio. One per subject is the standard set."""

    class Subject(models.TextChoices):
        """What the base model draws: its prompts speak another language."""

        PHOTOGRAPHS = "photographs", "photographs"
        DRAWN = "drawn", "drawn portraits"

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    subject = models.CharField(max_length=20, choices=Subject.choices, default=Subject.PHOTOGRAPHS)
    lines = models.JSONField(default=list, help_text="Objects with prompt and seed.")
    is_standard = models.BooleanField(
        default=False,
        editable=False,
        help_text="Drawn by itself for every completed version.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        app_label = "training"
        ordering = ("-is_standard", "name")
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=Q(is_standard=True), name="one_standard_set_per_subject"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Its page."""
        return reverse("prompt-set", args=[self.pk])

    def clean(self) -> None:
        """Raises ``ValidationError`` naming the line that is wrong."""
        self.lines = [{"prompt": line.prompt, "seed": line.seed} for line in check_lines(self.lines)]

    def prompt_lines(self) -> list[PromptLine]:
        """The prompts in order."""
        return [PromptLine(line["prompt"], line["seed"]) for line in self.lines]

    @classmethod
    def standard(cls, base_model: str) -> PromptSet | None:
        """The set that is drawn for every completed version on this base."""
        return cls.objects.filter(subject=subject_of(base_model), is_standard=True).first()

    def make_standard(self) -> None:
        """From now on this one is drawn for every completed version of its subject."""
        with transaction.atomic():
            # The subject's rows are the lock: two people choosing at once come one after the other.
            list(PromptSet.objects.select_for_update().filter(subject=self.subject))
            PromptSet.objects.filter(subject=self.subject).exclude(pk=self.pk).update(is_standard=False)
            PromptSet.objects.filter(pk=self.pk).update(is_standard=True)
        self.refresh_from_db()


def subject_of(base_model: str) -> PromptSet.Subject:
    """Which prompts a base understands."""
    return PromptSet.Subject.DRAWN if base_model == EMBEDDED.key else PromptSet.Subject.PHOTOGRAPHS


def check_lines(value: object) -> list[PromptLine]:
    """The lines as they are kept. Raises ``ValidationError`` naming the line that is wrong."""
    if not isinstance(value, list) or not value:
        raise ValidationError({"lines": "Write at least one prompt."})
    if len(value) > LINES_MOST:
        raise ValidationError({"lines": f"{len(value)} prompts: at most {LINES_MOST} fit into a set."})
    lines: list[PromptLine] = []
    for number, item in enumerate(value, 1):
        lines.append(_line(item, number))
        if lines[-1] in lines[:-1]:
            raise ValidationError({"lines": f"Line {number} is there twice, with the same seed."})
    return lines


def _line(item: object, number: int) -> PromptLine:
    prompt = item.get("prompt") if isinstance(item, dict) else None
    seed = item.get("seed") if isinstance(item, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValidationError({"lines": f"Line {number} has no prompt."})
    if len(prompt) > PROMPT_LONGEST:
        raise ValidationError({"lines": f"Line {number} is longer than {PROMPT_LONGEST} characters."})
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= SEED_MOST:
        raise ValidationError({"lines": f"Line {number}: the seed is a whole number from 0 to {SEED_MOST}."})
    return PromptLine(" ".join(prompt.split()).replace("\x00", ""), seed)


def lines_from_text(text: str) -> list[dict[str, Any]]:
    """What a person typed: a prompt a line, with its seed and a colon before it or the next seed free."""
    found: list[dict[str, Any]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        head, colon, rest = line.partition(":")
        named = bool(colon) and head.strip().isascii() and head.strip().isdecimal()
        found.append({"prompt": rest.strip(), "seed": int(head[:20])} if named else {"prompt": line})
    taken = {line["seed"] for line in found if "seed" in line}
    free = (
        seed for seed in range(FIRST_SEED, FIRST_SEED + 10 * LINES_MOST + len(taken)) if seed not in taken
    )
    return [line if "seed" in line else line | {"seed": next(free)} for line in found]


def text_from_lines(lines: list[PromptLine]) -> str:
    """The other way round, with every seed."""
    return "\n".join(f"{line.seed}: {line.prompt}" for line in lines)


#: What a new studio starts with: five prompts with the trigger, three without.
_STANDARD = {
    PromptSet.Subject.DRAWN: (
        "portrait of {trigger}, smiling, red shirt, green background, looking ahead",
        "portrait of {trigger}, neutral, white shirt, pink background, looking left",
        "portrait of {trigger}, serious, black shirt, beige background, looking right",
        "portrait of {trigger}, laughing, yellow shirt, dark background, looking ahead",
        "portrait of {trigger}, neutral, blue shirt, grey background, looking ahead",
        "portrait of a young woman, fair skin, long blonde hair, blue eyes, "
        "smiling, red shirt, blue background, looking ahead",
        "portrait of a young man, brown skin, short black hair, brown eyes, "
        "neutral, green shirt, grey background, looking ahead",
        "portrait of a middle-aged man, fair skin, curly brown hair, green eyes, "
        "serious, blue shirt, beige background, looking left",
    ),
    PromptSet.Subject.PHOTOGRAPHS: (
        "portrait photograph of {trigger}, neutral expression, plain grey background, soft light",
        "portrait photograph of {trigger}, smiling, outdoors in a park, afternoon sun",
        "photograph of {trigger} from the waist up, black jacket, city street at night",
        "close-up photograph of {trigger}, seen from the side, window light",
        "photograph of {trigger} sitting in a cafe, laughing, warm light",
        "portrait photograph of a forty year old woman, smiling, outdoors in a park, afternoon sun",
        "portrait photograph of a thirty year old man, neutral expression, plain grey background, soft light",
        "photograph of two adult friends in a cafe, warm light",
    ),
}


def ensure_standard_sets() -> None:
    """A subject without a standard set gets the first one; runs after every migrate."""
    if PromptSet._meta.db_table not in connection.introspection.table_names():
        return  # migrated backwards
    for subject, prompts in _STANDARD.items():
        if not PromptSet.objects.filter(subject=subject, is_standard=True).exists():
            lines = [{"prompt": prompt, "seed": FIRST_SEED + index} for index, prompt in enumerate(prompts)]
            name = f"Standard: {subject.label}"
            described = "Five prompts with the trigger, three without, each with its own seed."
            PromptSet.objects.update_or_create(
                name=name,
                defaults={"subject": subject, "is_standard": True},
                create_defaults={
                    "subject": subject,
                    "is_standard": True,
                    "lines": lines,
                    "description": described,
                },
            )
