"""Speaks as ``worker.train`` does, without torch: the job's ``base_model`` says how it behaves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from worker.events import Checkpoint, Done, Error, Heldback, Log, Sample, Stage, Step, Validation, emit


def main() -> int:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    behaviour, steps = job["base_model"], job["parameters"]["max_train_steps"]
    if behaviour == "error":
        emit(Error("Image one.png is corrupt: replace or remove it."))
        return 1
    if behaviour == "crash":
        print("Traceback …\nRuntimeError: as ordered", file=sys.stderr)
        return 3
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    child = subprocess.Popen(["sleep", "600"])  # as a data loader would be
    secrets = [name for name in os.environ if name.startswith(("AWS_", "RUNPOD_AI_"))]
    emit(Log("info", f"pids {os.getpid()} {child.pid}; {len(job['images'])} images; secrets {secrets}"))
    emit(Stage("training"))
    print("a line of some library")
    print("x" * 2_000_000)  # and one that no pipe expects
    for step in range(steps + 1):
        if step:
            emit(Step(step, steps, float("nan") if step == 2 else 1 / step, 1e-3, 0.01))
        if step in job["sample_steps"]:
            emit(Validation(step, 1 / (step + 1)))
            for index, prompt in enumerate(job["sample_prompts"]):
                path = folder / f"sample_{step}_{index}.png"
                path.write_bytes(f"PNG {step} {prompt['prompt']}".encode())
                emit(Sample(step, index, prompt["seed"], str(path)))
        if step in job["checkpoint_steps"]:
            path = folder / f"checkpoint_{step}"
            path.write_bytes(f"LoRA {step}".encode())
            emit(Checkpoint(step, str(path)))
        if behaviour == "hang" and step == 3:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the worst of trainers
            time.sleep(600)
    emit(Heldback(3, 0.9, 0.5))
    content = json.dumps(
        [job["seed"], [Path(folder / i["path"]).read_text() for i in job["images"]]]
    ).encode()
    lora = folder / job["output"]
    lora.write_bytes(content)
    child.kill()
    emit(Done(str(lora), len(content), hashlib.sha256(content).hexdigest(), 1.5, 123))
    return 0


if __name__ == "__main__":
    sys.exit(main())
