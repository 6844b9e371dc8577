"""Add a fresh LoRA adapter to the base, and save it in PEFT's layout.

Saving writes `adapter_config.json` and `adapter_model.safetensors`, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import TrainingError
from trainer.fit.job import Job

if TYPE_CHECKING:
    from torch import Tensor


def with_adapter(
    job: Job, loaded: dict[Path, Any], device: str, on_load: Callable[[], None] = lambda: None
) -> Any:
    """Return the base with a fresh adapter. The base is taken from `loaded`, or read after `on_load`.

    Raises:
        ModelError: the base cannot be read.
        TrainingError: it has none of the matrices that `training.targets` names.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from trainer.fit.model.base_model import load_base

    if job.base not in loaded:
        on_load()
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        loaded.clear()
        loaded[job.base] = load_base(job.base, dtype=dtype, device=device)
    torch.manual_seed(job.recipe.seed)
    config = LoraConfig(
        r=job.recipe.rank,
        lora_alpha=job.recipe.alpha,
        rank_pattern=_caps(loaded[job.base], job),
        target_modules=_targets(loaded[job.base], job),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        layers_to_transform=_upper(loaded[job.base], job.recipe.frozen_layers),
    )
    return get_peft_model(loaded.pop(job.base), config).train()


def _upper(model: Any, frozen: float) -> list[int]:
    """Return the numbers of the layers that get an adapter.

    The lowest layers represent words, which a lesson does not change, and layers below all adapters
    need no gradients.
    """
    count = model.config.num_hidden_layers
    return list(range(min(count - 1, int(count * frozen)), count))


def _targets(model: Any, job: Job) -> list[str]:
    """Return the configured matrices that the model has as `Linear`, which experts are not."""
    import torch

    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    found = [name for name in job.recipe.targets if name in names]
    if not found:
        raise TrainingError(
            "{base} has none of the matrices in training.targets; add q_proj to the list",
            base=job.base.name,
        )
    return found


def _caps(model: Any, job: Job) -> dict[str, int]:
    """Return the rank for each kind of matrix that is too small for the configured one.

    A product of more than min(in, out) pairs adds nothing.
    """
    import torch

    caps: dict[str, int] = {}
    for name, module in model.named_modules():
        kind = name.rpartition(".")[2]
        if kind in job.recipe.targets and isinstance(module, torch.nn.Linear):
            most = min(module.in_features, module.out_features)
            if most < job.recipe.rank:
                caps[kind] = min(most, caps.get(kind, most))
    return caps


def save_adapter(model: Any, job: Job, best: Sequence[Tensor]) -> None:
    """Set the adapter to the values `best` and write it to `job.output`."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter, value in zip(trained, best, strict=True):
            parameter.copy_(value)
    folder = job.output
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    plain = {name: value.float().cpu().contiguous() for name, value in state.items()}
    save_file(plain, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"]
    config.base_model_name_or_path = job.base.name
    config.save_pretrained(folder)
