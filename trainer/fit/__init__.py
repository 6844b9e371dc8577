"""The training step: a job folder in, a PEFT adapter out."""
