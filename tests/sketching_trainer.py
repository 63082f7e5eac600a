"""The real trainer, except that its samples are sketches in two steps: drawing them takes most of its time.

For tests about something else than samples; the worker runs it when ``ACTORTRAIN_TRAINER`` names it.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from PIL import Image

from worker import sampling, train
from worker.base_model import Flux
from worker.dataset import Text


def sketch(pipeline: Flux, drawing: sampling.Drawing, text: Text, empty: Text, seed: int) -> Image.Image:
    return sampling.draw(pipeline, replace(drawing, steps=2), text, empty, seed)


if __name__ == "__main__":
    train.draw = sketch  # type: ignore[attr-defined]  # what it draws with is its own business, but for this
    sys.exit(train.main())
