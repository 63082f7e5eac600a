"""Training images and captions turned, once, into latents and text embeddings."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from worker.base_model import Flux
from worker.job import JobError, JobImage

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


@dataclass(frozen=True)
class Text:
    """A prompt's embeddings: ``sequence`` (tokens, width) for attention, ``pooled`` (width)."""

    sequence: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class Examples:
    """``latents`` are packed: (images, tokens, channels); the texts stand in the same order."""

    latents: Tensor
    sequences: Tensor
    pooled: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def pick(self, indices: Tensor) -> Examples:
        """The examples at ``indices``, repeats allowed."""
        return Examples(self.latents[indices], self.sequences[indices], self.pooled[indices])


def trigger_caption(caption: str, trigger: str) -> str:
    """``caption`` with ``trigger`` in it: what the LoRA learns must hang on that word."""
    caption = caption.strip()
    if not caption:
        return f"portrait of {trigger}"
    return caption if trigger.casefold() in caption.casefold() else f"{trigger}, {caption}"


def read_image(image: JobImage, resolution: int) -> Image.Image:
    """RGB, upright, centre-cropped square. Raises :class:`JobError` naming a file it cannot read."""
    try:
        # Pillow only warns of decompression bombs below twice its limit.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(image.path, formats=FORMATS) as opened:
                upright = ImageOps.exif_transpose(opened)
                if upright.has_transparency_data:
                    white = Image.new("RGBA", upright.size, "white")
                    upright = Image.alpha_composite(white, upright.convert("RGBA"))
                square = (resolution, resolution)
                return ImageOps.fit(upright.convert("RGB"), square, Image.Resampling.LANCZOS)
    except FileNotFoundError:
        raise JobError(f"Image {image.path.name} is missing: upload it again.") from None
    except UnidentifiedImageError:
        raise JobError(f"Image {image.path.name} cannot be read as an image: replace or remove it.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise JobError(f"Image {image.path.name} has too many pixels: scale it down.") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise JobError(f"Image {image.path.name} is corrupt ({error}): replace or remove it.") from None


@torch.no_grad()
def encode_images(pipeline: Flux, images: Iterable[Image.Image]) -> Tensor:
    """Packed latents (images, tokens, channels) as the transformer's input, one image at a time."""
    vae = pipeline.vae
    packed = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(vae.device, vae.dtype)
        latents = vae.encode(pixels / 127.5 - 1).latent_dist.mode()
        latents = (latents - vae.config.shift_factor) * vae.config.scaling_factor
        packed.append(pipeline._pack_latents(latents, *latents.shape))
    return torch.cat(packed)


@torch.no_grad()
def encode_texts(pipeline: Flux, texts: Iterable[str], max_tokens: int) -> dict[str, Text]:
    """Embeddings of each different text, encoded on its own so that no neighbour changes it."""
    encoded = {}
    for text in dict.fromkeys(texts):
        sequence, pooled, _ = pipeline.encode_prompt(
            text, None, pipeline.vae.device, max_sequence_length=max_tokens
        )
        encoded[text] = Text(sequence[0], pooled[0])
    return encoded


def join(latents: Tensor, texts: list[Text]) -> Examples:
    """Examples of ``latents`` with the text of each."""
    sequences = torch.stack([text.sequence for text in texts])
    return Examples(latents, sequences, torch.stack([text.pooled for text in texts]))


def batches(images: int, repeats: int, size: int, seed: int) -> Iterator[list[int]]:
    """Indices without end. An epoch holds every image ``repeats`` times in a new order."""
    rng = random.Random(seed)
    while True:
        epoch = [index for index in range(images) for _ in range(repeats)]
        rng.shuffle(epoch)
        yield from (epoch[start : start + size] for start in range(0, len(epoch), size))
