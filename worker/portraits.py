"""Paints portraits of invented adults from a description, and captions them.

The embedded base model is trained on these portraits (``worker/make_base.py``), and the demo
actors are painted with them. Marks (``mohawk``, ``scar`` …) are painted for demo actors only:
the base never sees them, so a LoRA that draws them has learned them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from PIL import Image, ImageDraw

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

SKINS: dict[str, Colour] = {
    "pale": (250, 222, 205),
    "fair": (240, 196, 166),
    "tan": (212, 158, 118),
    "brown": (158, 104, 70),
    "dark": (96, 60, 42),
}
HAIR_COLOURS: dict[str, Colour] = {
    "black": (28, 24, 26),
    "brown": (96, 58, 32),
    "blonde": (222, 184, 92),
    "red": (182, 64, 28),
    "grey": (160, 160, 164),
}
EYE_COLOURS: dict[str, Colour] = {
    "blue": (38, 110, 220),
    "green": (40, 140, 70),
    "brown": (104, 60, 26),
}
SHIRTS: dict[str, Colour] = {
    "red": (204, 40, 44),
    "blue": (44, 84, 190),
    "green": (36, 128, 76),
    "yellow": (238, 204, 60),
    "white": (240, 240, 240),
    "black": (34, 34, 38),
}
BACKGROUNDS: dict[str, Colour] = {
    "grey": (150, 150, 154),
    "white": (244, 244, 244),
    "dark": (46, 48, 58),
    "blue": (112, 160, 220),
    "green": (122, 184, 130),
    "pink": (240, 172, 192),
    "beige": (226, 206, 172),
}
HAIR_STYLES: dict[str, tuple[str, ...]] = {
    "man": ("short", "bald", "curly", "side-parted"),
    "woman": ("long", "bob", "curly", "bun", "short"),
}
BEARDS = ("none", "stubble", "full")
GLASSES = ("none", "round", "square")
EXPRESSIONS = ("neutral", "smiling", "laughing", "serious")
POSES = ("front", "left", "right")
AGES = ("young", "middle-aged", "old")

#: Marks outside the base's vocabulary: only demo actors have them.
MARKS = ("mohawk", "scar", "earring", "odd-eyes", "eyepatch", "face-paint", "star-glasses")


@dataclass(frozen=True)
class Portrait:
    """What is in one picture. ``marks`` and ``mark_colour`` belong to demo actors only."""

    sex: str = "woman"
    age: str = "young"
    skin: str = "fair"
    hair: str = "long"
    hair_colour: str = "brown"
    eyes: str = "brown"
    glasses: str = "none"
    beard: str = "none"
    shirt: str = "blue"
    background: str = "grey"
    expression: str = "neutral"
    pose: str = "front"
    #: Framing: head size relative to the usual, offsets in picture widths, tilt in radians.
    zoom: float = 1.0
    shift: Point = (0.0, 0.0)
    tilt: float = 0.0
    #: Face width relative to the usual: identities differ in it.
    width: float = 1.0
    marks: tuple[str, ...] = field(default=())
    mark_colour: Colour = (126, 44, 190)

    def face_words(self) -> list[str]:
        """What the face looks like; an actor's captions leave these out."""
        hair = "bald" if self.hair == "bald" else f"{self.hair} {self.hair_colour} hair"
        words = [f"{self.skin} skin", hair, f"{self.eyes} eyes"]
        if self.beard != "none":
            words.append("stubble" if self.beard == "stubble" else "full beard")
        if self.glasses != "none":
            words.append(f"{self.glasses} glasses")
        return words

    def scene_words(self) -> list[str]:
        """What changes from picture to picture of the same person."""
        look = "looking ahead" if self.pose == "front" else f"looking {self.pose}"
        return [self.expression, f"{self.shirt} shirt", f"{self.background} background", look]

    def caption(self, trigger: str | None = None) -> str:
        """A full description, or one of ``trigger`` that leaves the face to the LoRA."""
        if trigger:
            return ", ".join([f"portrait of {trigger}", *self.scene_words()])
        who = f"portrait of a {self.age} {self.sex}"
        return ", ".join([who, *self.face_words(), *self.scene_words()])


def random_portrait(rng: random.Random) -> Portrait:
    """Any adult the base knows: every attribute drawn on its own, never a mark."""
    sex = rng.choice(("man", "woman"))
    age = rng.choice(AGES)
    colours = ["grey"] * 3 + list(HAIR_COLOURS) if age == "old" else list(HAIR_COLOURS)
    person = Portrait(
        sex=sex,
        age=age,
        skin=rng.choice(list(SKINS)),
        hair=rng.choice(HAIR_STYLES[sex]),
        hair_colour=rng.choice(colours),
        eyes=rng.choice(list(EYE_COLOURS)),
        glasses=rng.choice(("none", "none", "round", "square")),
        beard=rng.choice(BEARDS) if sex == "man" else "none",
        width=rng.uniform(0.9, 1.1),
    )
    return random_scene(person, rng)


def random_scene(person: Portrait, rng: random.Random) -> Portrait:
    """The same person in other clothes, place, pose, expression and framing."""
    return replace(
        person,
        shirt=rng.choice(list(SHIRTS)),
        background=rng.choice(list(BACKGROUNDS)),
        expression=rng.choice(EXPRESSIONS),
        pose=rng.choice(POSES),
        zoom=rng.uniform(0.98, 1.14),
        shift=(rng.uniform(-0.03, 0.03), rng.uniform(-0.02, 0.02)),
        tilt=rng.uniform(-0.07, 0.07),
    )


def paint(portrait: Portrait, size: int = 64, oversample: int = 4) -> Image.Image:
    """An RGB picture of ``size`` × ``size`` pixels, anti-aliased by oversampling."""
    brush = _Brush(portrait, size * oversample)
    _background(brush)
    _hair_behind(brush)
    _body(brush)
    _head(brush)
    _face(brush)
    _hair_in_front(brush)
    _accessories(brush)
    return brush.image.reduce(oversample) if oversample > 1 else brush.image


def _shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, towards white above 1."""
    if factor <= 1:
        return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))
    mix = factor - 1
    red, green, blue = (int(value + (255 - value) * mix) for value in colour)
    return (red, green, blue)


class _Brush:
    """Draws in head coordinates: origin between the eyes' height and the chin, unit = picture."""

    def __init__(self, portrait: Portrait, pixels: int) -> None:
        self.portrait = portrait
        self.pixels = pixels
        self.image = Image.new("RGB", (pixels, pixels), BACKGROUNDS[portrait.background])
        self.draw = ImageDraw.Draw(self.image)
        self.skin = SKINS[portrait.skin]
        self.hair_colour = HAIR_COLOURS[portrait.hair_colour]
        self.turn = {"front": 0.0, "left": -0.045, "right": 0.045}[portrait.pose]
        self.half_width = 0.185 * portrait.width * (1.04 if portrait.sex == "man" else 0.98)
        self.cos, self.sin = math.cos(portrait.tilt), math.sin(portrait.tilt)

    def place(self, x: float, y: float) -> Point:
        """Head coordinates to pixels: tilt around the neck, zoom, shift."""
        pivot = 0.25
        dy = y - pivot
        tilted = (x * self.cos - dy * self.sin, x * self.sin + dy * self.cos + pivot)
        zoom, (right, down) = self.portrait.zoom, self.portrait.shift
        return (
            (0.5 + right + tilted[0] * zoom) * self.pixels,
            (0.49 + down + tilted[1] * zoom) * self.pixels,
        )

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self.draw.polygon([self.place(x, y) for x, y in points], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.polygon(_arc(x, y, rx, ry, 0, 360), colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self.pixels * self.portrait.zoom))
        self.draw.line([self.place(x, y) for x, y in points], fill=colour, width=pixels, joint="curve")


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Points on an ellipse, degrees clockwise from the right."""
    steps = max(8, int(abs(end - start) / 10))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def _background(brush: _Brush) -> None:
    """A soft vertical gradient of the background's colour."""
    base = BACKGROUNDS[brush.portrait.background]
    column = Image.new("RGB", (1, 16))
    for row in range(16):
        column.putpixel((0, row), _shade(base, 1.06 - 0.16 * row / 15))
    gradient = column.resize((brush.pixels, brush.pixels), Image.Resampling.BILINEAR)
    brush.image.paste(gradient)


def _hair_behind(brush: _Brush) -> None:
    """The part of the hair that the head and the shoulders cover."""
    colour, width = _shade(brush.hair_colour, 0.82), brush.half_width
    match brush.portrait.hair:
        case "long":
            brush.ellipse(0, -0.06, width + 0.07, 0.27, colour)
            brush.polygon(
                [(-width - 0.07, -0.06), (width + 0.07, -0.06), (width + 0.05, 0.4), (-width - 0.05, 0.4)],
                colour,
            )
        case "bob":
            brush.ellipse(0, -0.05, width + 0.075, 0.27, colour)
            brush.polygon(
                [(-width - 0.075, -0.05), (width + 0.075, -0.05), (width + 0.06, 0.2), (-width - 0.06, 0.2)],
                colour,
            )
        case "bun":
            brush.ellipse(0, -0.33, 0.085, 0.08, colour)
        case "curly":
            for angle in range(150, 391, 24):
                x = (width + 0.03) * math.cos(math.radians(angle))
                y = -0.06 + 0.22 * math.sin(math.radians(angle))
                brush.ellipse(x, y, 0.075, 0.075, colour)


def _body(brush: _Brush) -> None:
    shirt = SHIRTS[brush.portrait.shirt]
    neck = _shade(brush.skin, 0.86)
    broad = 0.40 if brush.portrait.sex == "man" else 0.35
    brush.polygon([(-0.075, 0.12), (0.075, 0.12), (0.085, 0.36), (-0.085, 0.36)], neck)
    shoulders = [*_arc(0, 0.56, broad, 0.24, 180, 360), (broad, 0.8), (-broad, 0.8)]
    brush.polygon(shoulders, shirt)
    brush.polygon([(-0.09, 0.325), (0.09, 0.325), (0.0, 0.44)], neck)
    brush.line([(-0.095, 0.325), (0.0, 0.445), (0.095, 0.325)], 0.018, _shade(shirt, 0.78))


def _head(brush: _Brush) -> None:
    width, turn = brush.half_width, brush.turn
    ear = _shade(brush.skin, 0.9)
    for side in (-1, 1):
        brush.ellipse(side * (width + 0.005) - turn * 0.4, 0.0, 0.033, 0.052, ear)
    jaw = 0.92 if brush.portrait.sex == "man" else 0.8
    outline = [
        *_arc(0, -0.05, width, 0.215, 180, 360),
        *_arc(0, 0.02, width, 0.215, 0, 50),
        (0.075 * jaw + turn * 0.4, 0.232),
        (-0.075 * jaw + turn * 0.4, 0.232),
        *_arc(0, 0.02, width, 0.215, 130, 180),
    ]
    brush.polygon(outline, brush.skin)
    if "face-paint" in brush.portrait.marks:
        brush.polygon(
            [(-width, -0.07), (width, -0.07), (width, 0.035), (-width, 0.035)], brush.portrait.mark_colour
        )


def _face(brush: _Brush) -> None:
    portrait, turn = brush.portrait, brush.turn
    if portrait.age != "young":
        _wrinkles(brush)
    _beard(brush)
    for side in (-1, 1):
        _eye(brush, side)
    nose = _shade(brush.skin, 0.78)
    brush.line([(turn * 1.3, -0.01), (turn * 1.9 + 0.018, 0.075), (turn * 1.5 - 0.012, 0.085)], 0.014, nose)
    _mouth(brush)
    if "scar" in portrait.marks:
        scar = (176, 24, 32)
        brush.line([(0.075 + turn, -0.13), (0.115 + turn, 0.14)], 0.022, scar)
        for y in (-0.06, 0.01, 0.08):
            brush.line([(0.062 + turn, y), (0.132 + turn, y - 0.012)], 0.014, scar)


def _wrinkles(brush: _Brush) -> None:
    colour, turn = _shade(brush.skin, 0.84), brush.turn
    for side in (-1, 1):
        brush.line([(side * 0.06 + turn, 0.085), (side * 0.095 + turn, 0.15)], 0.011, colour)
    if brush.portrait.age == "old":
        for y in (-0.16, -0.125):
            brush.line([(-0.08 + turn, y), (0.08 + turn, y)], 0.010, colour)


def _beard(brush: _Brush) -> None:
    portrait, width, turn = brush.portrait, brush.half_width, brush.turn
    if portrait.beard == "none":
        return
    full = portrait.beard == "full"
    if full:
        colour = brush.hair_colour
    else:
        red, green, blue = (
            int(0.72 * s + 0.28 * h) for s, h in zip(brush.skin, brush.hair_colour, strict=True)
        )
        colour = _shade((red, green, blue), 0.92)
    drop = 0.272 if full else 0.238
    brush.polygon(
        [
            (-width * 0.99, 0.03),
            (-width * 0.72, 0.075),
            (turn - 0.07, 0.1),
            (turn + 0.07, 0.1),
            (width * 0.72, 0.075),
            (width * 0.99, 0.03),
            *_arc(turn * 0.4, 0.03, width * 0.97, drop - 0.03, 0, 180),
        ],
        colour,
    )


def _eye(brush: _Brush, side: int) -> None:
    portrait, turn = brush.portrait, brush.turn
    x, y = side * 0.079 + turn, -0.025
    if side == 1 and "eyepatch" in portrait.marks:
        return
    iris = EYE_COLOURS[portrait.eyes]
    if side == 1 and "odd-eyes" in portrait.marks:
        iris = (232, 150, 20)
    brush.ellipse(x, y, 0.047, 0.033, (252, 252, 252))
    gaze = turn * 0.35
    brush.ellipse(x + gaze, y, 0.026, 0.029, iris)
    brush.ellipse(x + gaze, y, 0.012, 0.014, (14, 14, 18))
    brush.line(_arc(x, y, 0.05, 0.036, 195, 345), 0.012, (40, 28, 28))
    brow = _shade(brush.hair_colour, 0.75)
    if "mohawk" in portrait.marks:
        brow = _shade(portrait.mark_colour, 0.75)
    inner, outer = (-0.072, -0.092) if portrait.expression != "serious" else (-0.062, -0.094)
    if portrait.expression == "laughing":
        inner, outer = -0.09, -0.1
    points = [
        (x - side * 0.045, inner),
        (x + side * 0.008, min(inner, outer) - 0.006),
        (x + side * 0.048, outer + 0.01),
    ]
    brush.line(points, 0.02 if portrait.sex == "man" else 0.014, brow)


def _mouth(brush: _Brush) -> None:
    portrait, turn = brush.portrait, brush.turn
    x, y = turn * 1.1, 0.148
    lips = (186, 62, 66) if portrait.sex == "woman" else _shade(brush.skin, 0.62)
    match portrait.expression:
        case "smiling":
            brush.line(_arc(x, y - 0.035, 0.07, 0.052, 25, 155), 0.02, lips)
        case "laughing":
            brush.polygon(_arc(x, y - 0.018, 0.075, 0.07, 0, 180), (120, 24, 30))
            brush.polygon(
                [
                    (x - 0.068, y - 0.018),
                    (x + 0.068, y - 0.018),
                    (x + 0.055, y + 0.008),
                    (x - 0.055, y + 0.008),
                ],
                (250, 250, 250),
            )
            brush.line([(x - 0.075, y - 0.018), (x + 0.075, y - 0.018)], 0.013, lips)
        case "serious":
            brush.line(_arc(x, y + 0.04, 0.062, 0.042, 215, 325), 0.019, lips)
        case _:
            brush.line([(x - 0.052, y), (x + 0.052, y)], 0.02, lips)


def _cap(brush: _Brush, hairline: float, puff: float, colour: Colour) -> None:
    """Hair over the skull, down to ``hairline``; ``puff`` is how far it stands off the head."""
    width = brush.half_width
    brush.polygon(
        [
            *_arc(0, -0.055, width + puff, 0.225 + puff, 180, 360),
            (width * 0.86, hairline),
            (brush.turn * 0.6, hairline - 0.025),
            (-width * 0.86, hairline),
        ],
        colour,
    )


def _hair_in_front(brush: _Brush) -> None:
    colour, width, turn = brush.hair_colour, brush.half_width, brush.turn
    style = brush.portrait.hair
    if "mohawk" in brush.portrait.marks:
        _mohawk(brush)
        return
    match style:
        case "bald":
            brush.line(_arc(-0.05, -0.13, 0.07, 0.06, 200, 270), 0.018, _shade(brush.skin, 1.35))
        case "short":
            _cap(brush, -0.125, 0.012, colour)
        case "side-parted":
            brush.polygon(
                [
                    *_arc(0, -0.055, width + 0.018, 0.24, 180, 360),
                    (width * 0.9, -0.1),
                    (0.08 + turn, -0.165),
                    (-width * 0.6, -0.095),
                    (-width - 0.012, -0.02),
                ],
                colour,
            )
            brush.line([(0.085 + turn, -0.16), (0.07, -0.275)], 0.012, _shade(colour, 0.7))
        case "curly":
            for angle in range(180, 361, 22):
                x = width * 0.88 * math.cos(math.radians(angle))
                y = -0.09 + 0.165 * math.sin(math.radians(angle))
                brush.ellipse(x, y, 0.07, 0.068, colour if angle % 44 else _shade(colour, 1.1))
        case "bun":
            _cap(brush, -0.14, 0.012, colour)
        case "bob":
            brush.polygon(
                [
                    *_arc(0, -0.055, width + 0.035, 0.25, 180, 360),
                    (width + 0.03, 0.14),
                    (width * 0.86, 0.12),
                    (width * 0.84, -0.1),
                    (-width * 0.84, -0.1),
                    (-width * 0.86, 0.12),
                    (-width - 0.03, 0.14),
                ],
                colour,
            )
        case _:
            brush.polygon(
                [
                    *_arc(0, -0.055, width + 0.035, 0.25, 180, 360),
                    (width + 0.05, 0.3),
                    (width * 0.92, 0.28),
                    (width * 0.9, -0.06),
                    (turn + 0.03, -0.19),
                    (-width * 0.9, -0.06),
                    (-width * 0.92, 0.28),
                    (-width - 0.05, 0.3),
                ],
                colour,
            )


def _mohawk(brush: _Brush) -> None:
    colour = brush.portrait.mark_colour
    spikes: list[Point] = [(-0.085, -0.2)]
    for index in range(5):
        left = -0.1 + index * 0.042
        spikes += [(left, -0.4 - (0.02 if index % 2 else 0.0)), (left + 0.022, -0.33)]
    brush.polygon([*spikes, (0.085, -0.2), (0.0, -0.15)], colour)


def _accessories(brush: _Brush) -> None:
    portrait, turn, width = brush.portrait, brush.turn, brush.half_width
    frame: Colour = (22, 22, 26)
    if portrait.glasses != "none":
        for side in (-1, 1):
            x = side * 0.081 + turn
            if portrait.glasses == "round":
                outline = _arc(x, -0.022, 0.062, 0.058, 0, 360)
            else:
                outline = [
                    (x - 0.066, -0.07),
                    (x + 0.066, -0.07),
                    (x + 0.06, 0.03),
                    (x - 0.06, 0.03),
                    (x - 0.066, -0.07),
                ]
            brush.line(outline, 0.017, frame)
        brush.line([(turn - 0.02, -0.03), (turn + 0.02, -0.03)], 0.015, frame)
        for side in (-1, 1):
            brush.line([(side * 0.143 + turn, -0.035), (side * width, -0.03)], 0.013, frame)
    if "star-glasses" in portrait.marks:
        for side in (-1, 1):
            brush.polygon(_star(side * 0.085 + turn, -0.02, 0.095), portrait.mark_colour)
            brush.ellipse(side * 0.085 + turn, -0.02, 0.034, 0.034, (20, 20, 26))
        brush.line([(turn - 0.04, -0.03), (turn + 0.04, -0.03)], 0.02, portrait.mark_colour)
    if "eyepatch" in portrait.marks:
        brush.line([(-width, -0.15), (width, 0.0)], 0.018, frame)
        brush.ellipse(0.085 + turn, -0.028, 0.066, 0.06, frame)
    if "earring" in portrait.marks:
        brush.ellipse(-width - 0.012 - turn * 0.4, 0.085, 0.032, 0.036, (248, 196, 28))


def _star(x: float, y: float, radius: float) -> list[Point]:
    points: list[Point] = []
    for index in range(10):
        reach = radius if index % 2 == 0 else radius * 0.5
        angle = math.radians(-90 + 36 * index)
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return points
