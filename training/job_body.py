"""A version as the body of RunPod's ``/run``: its images, signed links and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.urls import reverse

from actors import storage
from training import checkpoints, payload, tunnel
from training.launch import estimate_of
from training.models import TrainingVersion
from training.parameters import Parameters

TENANT = "actortrain"


def build(version: TrainingVersion) -> dict[str, Any]:
    """The whole body. Images come from the version, not from the dataset, which may have changed since."""
    prompts, outward = version.sample_prompts(), outward_links()
    lora_key = version.lora_key
    job_input = payload.build_input(
        parameters=Parameters.from_dict(version.parameters()),
        base_model=version.base_model,
        seed=version.seed,
        images=[
            payload.PayloadImage(image["url"], outward(link), image["caption"])
            for image in version.images
            for link in [storage.download_link(image["url"], settings.JOB_LINK_SECONDS)]
        ],
        user_id=version.created_by.get_username() if version.created_by else TENANT,
        tenant_id=TENANT,
        request_id=version.request_id,
        model_name=version.model_name,
        dataset_fingerprint=version.dataset_fingerprint,
        prompts=prompts,
        lora=payload.Upload(
            outward(storage.upload_link(lora_key)), storage.public_url(storage.own(lora_key))
        ),
        samples=[
            payload.SampleUpload(step, index, outward(storage.upload_link(key)), storage.own(key).s3)
            for step in payload.sample_steps(version.max_train_steps or 0)
            for index in range(len(prompts))
            for key in [version.sample_key(step, index)]
        ],
        checkpoints=[
            payload.CheckpointUpload(step, outward(storage.upload_link(key)), storage.own(key).s3)
            for step in checkpoints.wanted_steps(version)
            for key in [checkpoints.key_of(version, step)]
        ],
    )
    return payload.build_body(
        job_input, webhook=webhook_url(version), policy=payload.build_policy(estimate_of(version).high)
    )


def outward_links() -> Callable[[str], str]:
    """Turns a link to this site into one that a worker elsewhere reaches; links to S3 stay as they are."""
    here, public = f"{settings.SITE_URL}/", f"{tunnel.public_url()}/"
    return lambda link: public + link.removeprefix(here) if link.startswith(here) else link


def webhook_url(version: TrainingVersion) -> str:
    """Where the endpoint reports the end of this training."""
    return tunnel.public_url() + reverse("training-webhook", args=[version.webhook_token])
