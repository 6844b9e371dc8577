"""Train a LoRA adapter: a job folder in, a PEFT adapter out."""
