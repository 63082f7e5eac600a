"""Invented people for the scorer: families of look-alikes, each painted in many scenes.

Members of a family differ in a thing or two (a hair colour, a scar, the shape of the head), so a scorer
that tells them apart must look at everything. Beside the painter's own marks there are random ones, so
that it heeds marks that nobody has thought of.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from worker.portraits import (
    AGES,
    BEARDS,
    EYE_COLOURS,
    GLASSES,
    HAIR_COLOURS,
    HAIR_STYLES,
    MARKS,
    SKINS,
    Colour,
    Portrait,
    _Brush,
    paint,
    random_portrait,
    random_scene,
)

SIZE = 64
_OVERSAMPLE = 3
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Extra:
    """A mark of no name: a blot or a stripe of some colour, somewhere on the head."""

    colour: Colour
    x: float
    y: float
    width: float
    height: float
    stripe: bool


@dataclass(frozen=True)
class Identity:
    """Who is in the picture, whatever the scene."""

    face: Portrait
    extras: tuple[Extra, ...] = ()
    #: Red, green and blue in another order: skins and hair in colours that no palette holds.
    colours: tuple[int, int, int] = (0, 1, 2)

    def picture(self, rng: random.Random, size: int = SIZE) -> Image.Image:
        """The person in a scene of its own."""
        scene = random_scene(self.face, rng)
        large = paint(scene, size * _OVERSAMPLE, oversample=1)
        if self.extras:
            _paint_extras(large, scene, self.extras)
        small = large.reduce(_OVERSAMPLE)
        if self.colours != (0, 1, 2):
            bands = small.split()
            small = Image.merge("RGB", [bands[index] for index in self.colours])
        return small


def _paint_extras(image: Image.Image, scene: Portrait, extras: tuple[Extra, ...]) -> None:
    brush = _Brush(scene, image.width)
    brush.image, brush.draw = image, ImageDraw.Draw(image)
    for extra in extras:
        x = extra.x + brush.turn
        if extra.stripe:
            brush.line(
                [(x - extra.width, extra.y - extra.height), (x + extra.width, extra.y)], 0.03, extra.colour
            )
        else:
            brush.ellipse(x, extra.y, extra.width, extra.height, extra.colour)


def _colour(rng: random.Random) -> Colour:
    """Any strong colour."""
    channels = [rng.randint(180, 250), rng.randint(20, 200), rng.randint(10, 80)]
    rng.shuffle(channels)
    return (channels[0], channels[1], channels[2])


def _extra(rng: random.Random) -> Extra:
    return Extra(
        colour=_colour(rng),
        x=rng.uniform(-0.16, 0.16),
        y=rng.uniform(-0.27, 0.2),
        width=rng.uniform(0.02, 0.1),
        height=rng.uniform(0.02, 0.08),
        stripe=rng.random() < 0.4,
    )


def random_identity(rng: random.Random) -> Identity:
    """Anybody: half of them with marks, every fourth in colours that no palette holds."""
    face = replace(random_portrait(rng), width=rng.uniform(0.88, 1.12))
    if rng.random() < 0.5:
        marks = tuple(rng.sample(MARKS, rng.choice((1, 1, 2, 3, 4))))
        face = replace(face, marks=marks, mark_colour=_colour(rng))
        if "star-glasses" in marks:
            face = replace(face, glasses="none")
    extras = tuple(_extra(rng) for _ in range(rng.choice((0, 0, 1, 2))))
    colours = rng.choice(((0, 1, 2), (0, 1, 2), (0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0)))
    return Identity(face, extras, colours)


def look_alike(identity: Identity, rng: random.Random) -> Identity:
    """The same but for one to three things."""
    changed = identity
    for _ in range(rng.choice((1, 1, 2, 3))):
        changed = _change(changed, rng)
    return changed if changed != identity else look_alike(identity, rng)


def _change(identity: Identity, rng: random.Random) -> Identity:
    """One thing becomes another."""
    face = identity.face
    choices: dict[str, object] = {
        "skin": rng.choice(list(SKINS)),
        "hair": rng.choice(HAIR_STYLES[face.sex]),
        "hair_colour": rng.choice(list(HAIR_COLOURS)),
        "eyes": rng.choice(list(EYE_COLOURS)),
        "glasses": rng.choice(GLASSES),
        "beard": rng.choice(BEARDS) if face.sex == "man" else "none",
        "age": rng.choice(AGES),
        "width": rng.choice((0.88, 0.96, 1.04, 1.12)),
        "mark_colour": _colour(rng),
        "marks": _other_marks(face.marks, rng),
    }
    what = rng.choice([*choices, "marks", "extras", "skin", "hair"])
    if what == "extras":
        extras = (
            identity.extras[1:] if identity.extras and rng.random() < 0.5 else (*identity.extras, _extra(rng))
        )
        return replace(identity, extras=extras)
    return replace(identity, face=replace(face, **{what: choices[what]}))  # type: ignore[arg-type]  # by name


def _other_marks(marks: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """One mark less or one more."""
    if marks and rng.random() < 0.5:
        return tuple(mark for mark in marks if mark != rng.choice(marks))
    return tuple(dict.fromkeys((*marks, rng.choice(MARKS))))


def paint_family(seed: int, members: int, scenes: int) -> Pixels:
    """Pictures (members, scenes, 64, 64, 3) of one person and look-alikes."""
    rng = random.Random(seed)
    first = random_identity(rng)
    people = [first, *(look_alike(first, rng) for _ in range(members - 1))]
    return np.stack([np.stack([np.asarray(each.picture(rng)) for _ in range(scenes)]) for each in people])
