"""The trainer's parts that need no training: captions, images, batches, events."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from worker import events
from worker.dataset import batches, read_image, trigger_caption
from worker.job import JobError, JobImage


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("", "portrait of vexil"),
        ("  ", "portrait of vexil"),
        ("smiling, red shirt", "vexil, smiling, red shirt"),
        ("portrait of Vexil, smiling", "portrait of Vexil, smiling"),
    ],
)
def test_a_caption_always_holds_the_trigger_token(caption: str, expected: str) -> None:
    assert trigger_caption(caption, "vexil") == expected


def test_an_epoch_holds_every_image_as_often_as_its_repeats() -> None:
    order = batches(images=3, repeats=2, size=4, seed=1)
    first, rest, second = islice(order, 3)
    assert (len(first), len(rest), len(second)) == (4, 2, 4)
    assert Counter(first + rest) == {0: 2, 1: 2, 2: 2}
    assert list(islice(batches(3, 2, 4, seed=1), 2)) == [first, rest]


def test_an_image_is_turned_upright_and_cropped_to_its_middle(tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    read = read_image(JobImage(tmp_path / "turned.jpg", ""), 64)
    assert (read.size, read.mode) == ((64, 64), "RGB")
    red, _, blue = read.getpixel((32, 32))  # type: ignore[misc]
    assert blue > 200
    assert red < 60


def test_a_transparent_image_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 80), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(JobImage(tmp_path / "clear.png", ""), 64).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "is missing"), (b"not an image", "cannot be read as an image"), ("cut", "is corrupt")],
)
def test_an_image_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | str | None, says: str
) -> None:
    path = tmp_path / "bad.png"
    if content == "cut":
        Image.effect_noise((200, 200), 80).save(path)
        content = path.read_bytes()[:5000]
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(JobError, match=f"bad.png {says}"):
        read_image(JobImage(path, ""), 64)


def test_an_image_with_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (200, 200)).save(tmp_path / "huge.png")
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 30_000)
    with pytest.raises(JobError, match=r"huge.png has too many pixels"):
        read_image(JobImage(tmp_path / "huge.png", ""), 64)


def test_every_event_reads_back_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    written: list[events.Event] = [
        events.Stage("training"),
        events.Step(1, 400, 0.9, 1e-4, 0.2),
        events.Validation(0, 0.4),
        events.Sample(100, 2, 1002, "/job/samples/a.png"),
        events.Heldback(5, 0.3, 0.1),
        events.Log("warning", "“quoted”\nand on a second line"),
        events.Done("/job/a.safetensors", 12, "ff", 80.5, 900),
        events.Error("Disk full"),
    ]
    for event in written:
        events.emit(event)
    assert [events.parse(line) for line in capsys.readouterr().out.splitlines()] == written


@pytest.mark.parametrize(
    "line", ["", "Loading weights", "3", "[]", '{"event": "step"}', '{"event": "other"}']
)
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert events.parse(line) is None
