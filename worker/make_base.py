"""Makes the embedded base model: a tiny Flux that draws 64×64 portraits from captions.

    python -m worker.make_base --minutes 80 --output worker/base --state var/make_base.pt

Wants an hour or more of two CPU cores, or minutes of a GPU. The learning rate follows the clock,
so the run ends when asked whatever the machine; it goes on from ``--state`` when killed.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from worker.base_model import CARD_FILE, PatchCodec, load_base
from worker.portraits import paint, random_portrait

SIZE = 64
MAX_TOKENS = 28
CAPTION_DROPOUT = 0.1
EMA_DECAY = 0.999
PROMPTS = 8
#: Words of registry names.
NAME_WORDS = (
    *("male", "female", "european", "asian", "black", "african", "indian", "nordic", "latino", "hispanic"),
    *("arab", "middle", "eastern", "south", "north", "east", "west", "american", "caribbean", "mixed"),
)


def paint_chunk(job: tuple[int, int]) -> tuple[np.ndarray[Any, Any], list[str]]:
    """``(seed, count)`` → pixels uint8 (count, 64, 64, 3) and their captions."""
    seed, count = job
    rng = random.Random(seed)
    portraits = [random_portrait(rng) for _ in range(count)]
    pixels = np.stack([np.asarray(paint(portrait, SIZE)) for portrait in portraits])
    return pixels, [portrait.caption() for portrait in portraits]


def paint_many(count: int, seed: int, processes: int) -> tuple[Tensor, list[str]]:
    """Painted on all cores: uint8 (count, 3, 64, 64) and captions."""
    chunk = 1000
    jobs = [(seed * 1_000_003 + index, chunk) for index in range(math.ceil(count / chunk))]
    with get_context("spawn").Pool(processes) as pool:
        parts = pool.map(paint_chunk, jobs)
    pixels = torch.from_numpy(np.concatenate([part[0] for part in parts])).permute(0, 3, 1, 2)
    return pixels, [caption for part in parts for caption in part[1]]


def fit_codec(pixels: Tensor) -> PatchCodec:
    """Principal components of the patches of ``pixels`` and of their colour permutations.

    Components keep part of their own size (std ** 0.4), so that detail weighs less than colour.
    """
    images = pixels[:3000].float() / 127.5 - 1
    images = torch.cat([images[:, list(order)] for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1))])
    patches = torch.nn.functional.unfold(images, 4, stride=4).permute(0, 2, 1).reshape(-1, 48)
    patches = patches[torch.randperm(len(patches), generator=torch.Generator().manual_seed(0))[:400_000]]
    mean = patches.mean(0)
    _, spread, basis = torch.linalg.svd((patches - mean)[:100_000], full_matrices=False)
    std = spread[:16] / math.sqrt(100_000)
    scale = 1.3 * (std / std[0]) ** 0.4 / std
    codec: PatchCodec = PatchCodec(latent_channels=16)
    to_latent = basis[:16] * scale[:, None]
    # A transposed convolution has one bias per colour, so the mean patch is taken as flat.
    flat = mean.reshape(3, 16).mean(1)
    codec.load_state_dict(
        {
            "encoder.weight": to_latent.reshape(16, 3, 4, 4),
            "encoder.bias": -(to_latent @ flat.repeat_interleave(16)),
            "decoder.weight": (basis[:16] / scale[:, None]).reshape(16, 3, 4, 4),
            "decoder.bias": flat,
        }
    )
    codec.requires_grad_(False)
    return codec


def make_tokenizer(captions: list[str]) -> PreTrainedTokenizerFast:
    """Words of the captions, and pieces for every other word (a trigger token).

    Registry names (``0007_nordic_41_female``) come apart into few pieces, so that captions with such a
    trigger stay within ``MAX_TOKENS``; anything else comes apart into characters. No caption of the base
    holds these pieces, so their embeddings stay as random as a rare word's.
    """
    words = sorted({word for caption in captions for word in caption.replace(",", " ").lower().split()})
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = ["<pad>", "<eos>", "<unk>", *letters, *(f"##{letter}" for letter in letters)]
    parts = [*(f"{number:02d}" for number in range(100)), *NAME_WORDS]
    pieces = [*pieces, *words, *parts, *(f"##{part}" for part in parts)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(",", " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", vocabulary["<eos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
    )


def make_parts(tokenizer: PreTrainedTokenizerFast) -> nn.ModuleDict:
    """Transformer, CLIP and T5 of about 5.4 million parameters, output at zero."""
    size = len(tokenizer)
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size,
            hidden_size=128,
            intermediate_size=256,
            projection_dim=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        )
    )
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=size,
            d_model=128,
            d_kv=32,
            d_ff=256,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            feed_forward_proj="gated-gelu",
        )
    )
    transformer: Any = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=6,
        joint_attention_dim=128,
        pooled_projection_dim=128,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )
    for name, parameter in transformer.named_parameters():
        if ".norm1.linear" in name or ".norm1_context.linear" in name or ".norm.linear" in name:
            nn.init.zeros_(parameter)
    for output in (transformer.proj_out, transformer.norm_out.linear):
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
    return nn.ModuleDict({"transformer": transformer, "clip": clip, "t5": t5})


def flow_loss(parts: nn.ModuleDict, latents: Tensor, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Flow matching with logit-normal times. ``latents``: (batch, 64, 64) packed; ``tokens``: ids."""
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    sigma = torch.sigmoid(torch.randn(len(latents), generator=generator)).to(latents.device)
    mixed = (1 - sigma[:, None, None]) * latents + sigma[:, None, None] * noise
    predicted = parts["transformer"](
        hidden_states=mixed,
        timestep=sigma,
        guidance=torch.ones_like(sigma),
        pooled_projections=parts["clip"](tokens).pooler_output,
        encoder_hidden_states=parts["t5"](tokens).last_hidden_state,
        txt_ids=torch.zeros(tokens.shape[1], 3, device=latents.device),
        img_ids=FluxPipeline._prepare_latent_image_ids(1, 8, 8, latents.device, torch.float32),
        return_dict=False,
    )[0]
    return nn.functional.mse_loss(predicted, noise - latents)


def learning_rate(elapsed: float) -> float:
    """Peak 1e-3 by the share of the time used: short warm-up, flat, down to zero from 55 %."""
    if elapsed < 0.02:
        return 1e-3 * max(elapsed / 0.02, 0.01)
    return 1e-3 * min(1.0, (1 - elapsed) / 0.45)


def save_base(
    output: Path,
    parts: nn.ModuleDict,
    codec: PatchCodec,
    tokenizer: PreTrainedTokenizerFast,
    card: dict[str, Any],
) -> None:
    """Writes a diffusers pipeline directory in half precision, and draws from it once."""
    halves = copy.deepcopy(parts).to("cpu", torch.float16)
    pipeline: Any = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=copy.deepcopy(codec),
        text_encoder=halves["clip"],
        tokenizer=tokenizer,
        text_encoder_2=halves["t5"],
        tokenizer_2=tokenizer,
        transformer=halves["transformer"],
    )
    pipeline.save_pretrained(output, safe_serialization=True)
    (output / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")


def draw_sheet(base: Path, target: Path, steps: int = 24) -> None:
    """A contact sheet: eight captions drawn beside what the painter paints for them."""
    rng = random.Random(9)
    wanted = [random_portrait(rng) for _ in range(PROMPTS)]
    pipeline = load_base(base)
    sheet = Image.new("RGB", (PROMPTS * SIZE, 3 * SIZE))
    for row, scale in enumerate((1.0, 2.0)):
        drawn = pipeline(
            [portrait.caption() for portrait in wanted],
            negative_prompt=[""] * PROMPTS if scale > 1 else None,
            true_cfg_scale=scale,
            height=SIZE,
            width=SIZE,
            num_inference_steps=steps,
            guidance_scale=1.0,
            max_sequence_length=MAX_TOKENS,
            generator=torch.Generator().manual_seed(1),
        ).images
        for column, image in enumerate(drawn):
            sheet.paste(image, (column * SIZE, row * SIZE))
    for column, portrait in enumerate(wanted):
        sheet.paste(paint(portrait, SIZE), (column * SIZE, 2 * SIZE))
    sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST).save(target)


def train(options: argparse.Namespace) -> None:
    """Paints, trains for ``options.minutes`` and saves; every few minutes a usable base."""
    torch.manual_seed(options.seed)
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pixels, captions = paint_many(options.portraits, options.seed, options.processes)
    print(f"painted {len(pixels)} portraits in {time.monotonic() - started:.0f} s", flush=True)
    codec = fit_codec(pixels)
    tokenizer = make_tokenizer(captions)
    tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
    empty = tokenizer([""], padding="max_length", return_tensors="pt").input_ids
    packed = []
    for chunk in pixels.split(2000):
        latents = codec.encode(chunk.float() / 127.5 - 1).latent_dist.mode()
        packed.append(FluxPipeline._pack_latents(latents, len(latents), 16, 16, 16).half())
    everything = torch.cat(packed)
    print(f"latents: std {everything.float().std():.3f}; tokenizer: {len(tokenizer)} pieces", flush=True)
    del pixels, packed

    parts = make_parts(tokenizer).to(device)
    average = copy.deepcopy(parts).requires_grad_(False)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    step, used = 0, 0.0
    if options.state and options.state.exists():
        state = torch.load(options.state, map_location=device)
        parts.load_state_dict(state["parts"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, used = state["step"], state["used"]
    count = sum(parameter.numel() for parameter in parts.parameters())
    print(f"{count / 1e6:.2f} M parameters on {device}, from step {step}", flush=True)

    generator = torch.Generator().manual_seed(options.seed + step)
    budget, last, saved, running = options.minutes * 60, time.monotonic(), used, 0.0
    while used < budget:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(used / budget)
        picked = torch.randint(len(everything), (options.batch,), generator=generator)
        ids = tokens[picked].clone()
        ids[torch.rand(len(ids), generator=generator) < CAPTION_DROPOUT] = empty[0]
        loss = flow_loss(parts, everything[picked].float().to(device), ids.to(device), generator)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), parts.parameters(), strict=True):
                mine.lerp_(theirs, 1 - decay)
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        now = time.monotonic()
        used, last = used + now - last, now
        if step % 100 == 0:
            print(f"step {step} loss {running:.4f} {used / 60:.1f} of {options.minutes:.0f} min", flush=True)
        if used - saved > options.save_every * 60 or used >= budget:
            saved = used
            card = {
                "name": "ActorTrain embedded portraits",
                "kind": "drawn portraits",
                "resolution": SIZE,
                "max_tokens": MAX_TOKENS,
                "sampling": {"steps": 24, "guidance_scale": 1.0, "true_cfg_scale": 2.0},
                "made": {
                    "steps": step,
                    "images_seen": step * options.batch,
                    "loss": round(running, 4),
                    "seed": options.seed,
                },
            }
            save_base(options.output, average, codec, tokenizer, card)
            draw_sheet(options.output, options.output / "portraits.png")
            if options.state:
                torch.save(
                    {
                        "parts": parts.state_dict(),
                        "average": average.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "step": step,
                        "used": used,
                    },
                    options.state,
                )
            last = time.monotonic()


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(description="Make the embedded base model.")
    parser.add_argument("--minutes", type=float, default=80, help="training time (default 80)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "base")
    parser.add_argument("--state", type=Path, help="checkpoint to save to and go on from")
    parser.add_argument("--portraits", type=int, default=80_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--processes", type=int, default=2, help="painters")
    parser.add_argument("--save-every", type=float, default=8, help="minutes between saves")
    parser.add_argument("--seed", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
