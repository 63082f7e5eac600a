"""Eight drawn actors, each trained in full and for 20 steps, for the likeness table (``likeness_table.py``).

Trainer, parameters, prompts and seeds are those of the local endpoint. What is finished is kept in the
folder, so a run that was stopped goes on, and scoring can be repeated without training.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

from training.base_models import EMBEDDED, auto_adjust
from training.payload import sample_prompts, sample_steps
from worker.portraits import Colour, Portrait, paint, random_portrait, random_scene

ROOT = Path(__file__).resolve().parents[1]
#: Trigger, marks that the base has never seen, their colour. Three have none.
CAST: tuple[tuple[str, tuple[str, ...], Colour], ...] = (
    ("0100_nordic_31_female", ("mohawk", "scar"), (30, 150, 200)),
    ("0101_african_52_male", (), (0, 0, 0)),
    ("0102_asian_27_female", ("star-glasses",), (230, 60, 150)),
    ("0103_latino_38_male", ("eyepatch", "earring"), (0, 0, 0)),
    ("0104_indian_44_female", (), (0, 0, 0)),
    ("0105_european_29_male", ("face-paint",), (40, 150, 90)),
    ("0106_arab_35_female", ("odd-eyes", "scar", "earring"), (0, 0, 0)),
    ("0107_european_61_male", (), (0, 0, 0)),
)
TRIGGERS = tuple(trigger for trigger, _, _ in CAST)
PICTURES = 15
SHORT_STEPS = 20
KINDS = ("full", "short")
#: The studio's standard previews of drawn actors (``training/prompt_sets.py``) and the first one's seed.
STANDARD = (
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
)
FIRST_SEED = 2000


def face(trigger: str) -> Portrait:
    """What an actor looks like: drawn by lot from the trigger, marks from the cast."""
    marks, colour = next((marks, colour) for name, marks, colour in CAST if name == trigger)
    rng, sex = random.Random(trigger), "woman" if trigger.endswith("_female") else "man"
    person = next(each for _ in range(99) if (each := random_portrait(rng)).sex == sex)
    if "star-glasses" in marks:
        person = replace(person, glasses="none")
    return replace(person, marks=marks, mark_colour=colour)


def full_steps() -> int:
    """What auto-adjust recommends for a dataset of this size."""
    return auto_adjust(PICTURES, EMBEDDED)[0].max_train_steps


def make_job(folder: Path, trigger: str, steps: int | None) -> Path:
    """A job as the worker's handler writes it, its images painted at 512 px like the demo's."""
    rng, person = random.Random(f"scenes of {trigger}"), face(trigger)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(PICTURES):
        scene = random_scene(person, rng)
        path = f"images/{number:02d}.png"
        paint(scene, 512, 2).save(folder / path)
        images.append({"path": path, "caption": scene.caption(trigger)})
    parameters, _ = auto_adjust(PICTURES, EMBEDDED, class_tokens=trigger)
    if steps:
        parameters = replace(parameters, max_train_steps=steps, lr_warmup_steps=steps // 5)
    job = {
        "images": images,
        "parameters": parameters.to_dict(),
        "base_model": EMBEDDED.key,
        "seed": 42,
        "sample_prompts": [asdict(prompt) for prompt in sample_prompts(EMBEDDED.key, trigger)],
        "sample_steps": sample_steps(parameters.max_train_steps),
        "model_name": trigger,
        "output": "lora.safetensors",
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder


def draw_previews(folder: Path) -> None:
    """The standard set with each LoRA, with the base alone, and each trigger with somebody else's LoRA."""
    import torch

    from worker.base_model import base_card, load_base
    from worker.dataset import encode_texts
    from worker.job import EMBEDDED_BASE
    from worker.sampling import Drawing, draw

    torch.set_num_threads(1)
    drawing = Drawing.of(base_card(EMBEDDED_BASE))
    pipeline = load_base(EMBEDDED_BASE)
    calling = [index for index, prompt in enumerate(STANDARD) if "{trigger}" in prompt]
    others = [index for index in range(len(STANDARD)) if index not in calling]
    # Where to, whose trigger, whose LoRA, which prompts.
    orders: list[tuple[str, str, str, list[int]]] = [("base", "", "", others)]
    for index, trigger in enumerate(TRIGGERS):
        another = TRIGGERS[(index + 1) % len(TRIGGERS)]
        everything = calling + others
        orders += [(f"{trigger}/{kind}/previews", trigger, f"{trigger}/{kind}", everything) for kind in KINDS]
        orders += [(f"{trigger}/another", trigger, f"{another}/full", calling)]
    for target, trigger, lora, prompts in orders:
        wanted = [(index, STANDARD[index].replace("{trigger}", trigger)) for index in prompts]
        files = [folder / target / f"prompt-{index}.png" for index in prompts]
        if all(file.exists() for file in files):
            continue
        texts = encode_texts(pipeline, ["", *(prompt for _, prompt in wanted)], drawing.max_tokens)
        if lora:
            pipeline.load_lora_weights(folder / lora / "lora.safetensors")
        (folder / target).mkdir(parents=True, exist_ok=True)
        for file, (index, prompt) in zip(files, wanted, strict=True):
            draw(pipeline, drawing, texts[prompt], texts[""], FIRST_SEED + index).save(file)
        if lora:
            pipeline.unload_lora_weights()
        print(f"drawn {target}", flush=True)


def train_all(folder: Path) -> None:
    """Every training that is not there yet, one after the other."""
    for trigger in TRIGGERS:
        for kind, steps in (("full", None), ("short", SHORT_STEPS)):
            train(folder / trigger / kind, trigger, steps)


def train(job: Path, trigger: str, steps: int | None) -> None:
    """One training, unless its LoRA is there."""
    if (job / "lora.safetensors").exists():
        return
    print(f"training {job}", flush=True)
    make_job(job, trigger, steps)
    command = [sys.executable, "-m", "worker.train", str(job)]
    events = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (job / "events.txt").write_text(events.stdout)


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
    draw_previews(Path(sys.argv[1]))
