"""The GPU side of ActorTrain: trainer, RunPod handler, local endpoint. Never imports Django."""
