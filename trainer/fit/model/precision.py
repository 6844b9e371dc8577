"""Keep the frozen matrices of a model in bfloat16."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from trainer.fit.batch import inner_model


def freeze_in_bfloat16(model: Any) -> None:
    """Convert the frozen matrices of the layers to bfloat16; embedding, head and norms stay."""
    import ctypes

    import torch

    for layer in inner_model(model).layers:
        for module in layer.modules():
            if is_frozen_linear(module):
                module.weight.data = module.weight.data.to(torch.bfloat16)
                if module.bias is not None:
                    module.bias.data = module.bias.data.to(torch.bfloat16)
    with suppress(OSError, AttributeError):  # glibc keeps what was freed unless asked
        ctypes.CDLL(None).malloc_trim(0)


def is_frozen_linear(module: Any) -> bool:
    """Return whether a module is a plain matrix that is not trained."""
    import torch

    return type(module) is torch.nn.Linear and not module.weight.requires_grad
