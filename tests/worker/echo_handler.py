"""A trivial handler for the unmodified SDK: does what the job's input says."""

import asyncio
from typing import Any

import runpod


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    wish = job["input"]["do"]
    if wish == "hang":
        runpod.serverless.progress_update(job, {"step": 1})
        await asyncio.sleep(600)
    if wish == "fail":
        return {"error": "as ordered"}
    return {"echo": job["input"]}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
