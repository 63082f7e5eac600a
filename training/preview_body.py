"""A preview as the body of RunPod's ``/run``: its LoRAs, pictures and limits (``docs/contract.md``)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse

from actors import storage
from training import payload, tunnel
from training.base_models import FLUX
from training.job_body import TENANT, outward_links
from training.models import Preview
from training.previews import estimate_seconds

MODE = "preview"


def build(preview: Preview) -> dict[str, Any]:
    """The whole body. Raises ``OSError`` when a LoRA is out of reach."""
    version, images, outward = preview.version, list(preview.images.all()), outward_links()
    sources: dict[int | None, tuple[str, int | None]] = {None: (version.lora_url, version.max_train_steps)}
    sources |= {each.step: (each.url, each.step) for each in version.checkpoints.all()}
    used = list(dict.fromkeys(image.checkpoint_step for image in images if image.strength))
    loras = []
    for step in used:
        if step not in sources:
            raise OSError(f"the checkpoint of step {step} is gone")
        url, trained_steps = sources[step]
        link = storage.download_link(url, settings.JOB_LINK_SECONDS)
        if not link:
            raise OSError("its LoRA lies where this site has no access")
        loras.append({"download_url": outward(link), "version": version.name, "step": trained_steps})
    config = {
        "mode": MODE,
        "user_id": preview.created_by.get_username() if preview.created_by else TENANT,
        "tenant_id": TENANT,
        "request_id": preview.request_id,
        "model_name": version.model_name,
        "base_model": version.base_model or FLUX.key,
        "loras": loras,
        "images": [
            {
                "prompt": image.prompt,
                "seed": image.seed,
                "strength": image.strength,
                "steps": image.steps,
                "lora": used.index(image.checkpoint_step) if image.strength else 0,
                "put_url": outward(storage.upload_link(key)),
                "url": storage.own(key).s3,
            }
            for image in images
            for key in [preview.image_key(image.position)]
        ],
    }
    webhook = tunnel.public_url() + reverse("preview-webhook", args=[preview.webhook_token])
    policy = payload.build_policy(estimate_seconds(preview))
    return payload.build_body({"training_config": config}, webhook=webhook, policy=policy)
