"""Makes the scorer of drawn actors: a small network that lays pictures of one person side by side.

    python -m worker.make_scorer --minutes 13 --output worker/base/scorer.safetensors

It learns from painted people alone (``worker/identities.py``): pictures of one person in other scenes are
near, pictures of anybody else are far, a look-alike's too. The site computes it in numpy
(``training/drawn_likeness.py``), so the batch norms are folded into the convolutions before saving.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from worker.base_model import PatchCodec
from worker.identities import paint_family
from worker.job import EMBEDDED_BASE

VERSION = "1"
WIDTHS = (32, 64, 96, 128)
DIMENSIONS = 64
MEMBERS, SCENES = 4, 6
#: A batch: families × members × pictures of each.
FAMILIES, PICTURES = 14, 4
TEMPERATURE = 0.12


def make_network() -> nn.Sequential:
    """Pixels in -1..1, (batch, 3, 64, 64), to (batch, 64), not yet of unit length."""
    layers: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 16, DIMENSIONS))


def roughen(images: Tensor, codec: PatchCodec, generator: torch.Generator) -> Tensor:
    """What a base does to pictures: framing, light, codec, a smear, grain. In and out: -1..1."""
    count = len(images)

    def chance(share: float) -> Tensor:
        return (torch.rand(count, 1, 1, 1, generator=generator) < share).float()

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    zoom = between(0.86, 1.08, count)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = between(-0.08, 0.08, count, 2)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = between(0.85, 1.15, count, 1, 1, 1) * between(0.94, 1.06, count, 3, 1, 1)
    images = (images * gain + between(-0.08, 0.08, count, 1, 1, 1)).clamp(-1, 1)
    latents = codec.encode(images).latent_dist.mode()
    noise = torch.randn(latents.shape, generator=generator) * between(0.0, 0.3, count, 1, 1, 1)
    coded = codec.decode(latents + noise).sample
    images = torch.lerp(images, coded, chance(0.7))
    smeared = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, smeared, between(0.0, 1.0, count, 1, 1, 1) * chance(0.5))
    grain = torch.randn(images.shape, generator=generator) * between(0.0, 0.08, count, 1, 1, 1)
    return (images + grain).clamp(-1, 1)


def contrast(embedded: Tensor, people: Tensor) -> Tensor:
    """Supervised contrastive loss (Khosla 2020): who shows the same person, among the whole batch?"""
    likeness = embedded @ embedded.T / TEMPERATURE
    itself = torch.eye(len(people), dtype=torch.bool)
    likeness = likeness.masked_fill(itself, -1e9)
    chances = likeness - likeness.logsumexp(dim=1, keepdim=True)
    same = (people[:, None] == people[None, :]) & ~itself
    return -(chances * same).sum(1).div(same.sum(1)).mean()


def folded(network: nn.Sequential) -> dict[str, Tensor]:
    """The weights without batch norms: ``conv{i}.weight/bias`` and ``out.weight/bias``, half precision."""
    weights: dict[str, Tensor] = {}
    modules = list(network)
    for index in range(len(WIDTHS)):
        conv: Any = modules[3 * index]
        norm: Any = modules[3 * index + 1]
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weights[f"conv{index}.weight"] = conv.weight * factor[:, None, None, None]
        weights[f"conv{index}.bias"] = norm.bias - norm.running_mean * factor
    out: Any = modules[-1]
    weights |= {"out.weight": out.weight, "out.bias": out.bias}
    return {name: weight.detach().half().contiguous() for name, weight in weights.items()}


@torch.no_grad()
def stranger_distance(network: nn.Sequential, seed: int, people: int = 300) -> float:
    """Mean distance between pictures of two people who are no look-alikes: the likeness of nobody."""
    pictures = torch.from_numpy(np.concatenate([paint_family(seed + n, 1, 1)[0] for n in range(people)]))
    network.eval()
    points = functional.normalize(network(pictures.permute(0, 3, 1, 2).float() / 127.5 - 1))
    distances = torch.cdist(points, points)
    return float(distances.sum() / (people * (people - 1)))


def train(options: argparse.Namespace) -> None:
    """Paints, learns for ``options.minutes``, saves the weights with a card in the file's metadata."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(options.seed)
    started = time.monotonic()
    families = np.stack(
        [paint_family(options.seed * 1_000_003 + n, MEMBERS, SCENES) for n in range(options.families)]
    )
    everything = torch.from_numpy(families).permute(0, 1, 2, 5, 3, 4).contiguous()
    print(f"painted {families.shape[:3]} in {time.monotonic() - started:.0f} s", flush=True)
    codec: PatchCodec = PatchCodec.from_pretrained(EMBEDDED_BASE / "vae")
    codec.requires_grad_(False)
    network = make_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    budget, step, running, started = options.minutes * 60, 0, 0.0, time.monotonic()
    people = torch.arange(FAMILIES * MEMBERS).repeat_interleave(PICTURES)
    while (used := (time.monotonic() - started) / budget) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, used / 0.03 + 0.02, (1 - used) / 0.6)
        chosen = torch.randint(len(everything), (FAMILIES,), generator=generator)
        scenes = torch.randperm(SCENES, generator=generator)[:PICTURES]
        batch = everything[chosen][:, :, scenes].flatten(0, 2).float() / 127.5 - 1
        network.train()
        embedded = functional.normalize(network(roughen(batch, codec, generator)))
        loss = contrast(embedded, people)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            print(f"step {step} loss {running:.3f} {used:.0%}", flush=True)
    network.eval()
    card = {
        "name": "ActorTrain drawn likeness",
        "version": VERSION,
        "resolution": 64,
        "dimensions": DIMENSIONS,
        "stranger_distance": round(stranger_distance(network, 9_000_000), 4),
        "made": {
            "steps": step,
            "families": options.families,
            "loss": round(running, 3),
            "seed": options.seed,
        },
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(folded(network), options.output, metadata={"card": json.dumps(card)})
    print(json.dumps(card), flush=True)


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(description="Make the scorer of drawn actors.")
    parser.add_argument("--minutes", type=float, default=13, help="training time (default 13)")
    parser.add_argument("--output", type=Path, default=EMBEDDED_BASE / "scorer.safetensors")
    parser.add_argument("--families", type=int, default=2500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
