"""The GPU side of ActorTrain: trainer, RunPod handler, local endpoint. Never imports Django."""

import os

# Before the libraries are imported: their advice about what is not installed is not for our readers.
for _library in ("TRANSFORMERS", "DIFFUSERS"):
    os.environ.setdefault(f"{_library}_VERBOSITY", "error")
