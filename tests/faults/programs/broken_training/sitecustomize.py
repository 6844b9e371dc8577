"""Break the training child that has this on its path, in the way that FAULT_TRAINING names."""

from __future__ import annotations

import os
import sys
from typing import Any

if "trainer.fit" in sys.orig_argv and (fault := os.environ.get("FAULT_TRAINING")):
    import torch

    from trainer.fit import batch, step

    calls = 0
    forward = batch.reply_logits

    def broken(*arguments: Any, **options: Any) -> torch.Tensor:
        global calls
        calls += 1
        if fault == "memory always" or (fault == "memory once" and calls == 3):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        logits = forward(*arguments, **options)
        return logits * float("nan") if fault == "no number" and calls > 4 else logits

    setattr(step, "reply_logits", broken)  # noqa: B010 - it is not exported from there
