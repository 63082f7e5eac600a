"""Kills the whole of ActorTrain again and again, and proves that every training ends with the truth."""
