"""Run TRL once, in an interpreter that has it: `python benchmarks/trl_child.py JOB`.

JOB is a JSON file with base (GGUF), output (folder), method ("sft" or "dpo"), rows (prompt, chosen and
rejected as plain texts), lora (rank, alpha, targets), settings (differences from TRL's defaults),
threads and seed. The base is loaded by `trainer/fit/model/base_model.py`; its tokenizer and chat
template come from the same file. Writes the adapter in PEFT's layout, and prints one line of JSON:
seconds, steps, peak memory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks"]


def main(path: Path) -> None:
    """Run the job."""
    job = json.loads(path.read_text("utf-8"))
    os.environ["OMP_NUM_THREADS"] = str(job["threads"])

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from trainer.fit.model.base_model import load_base

    torch.set_num_threads(job["threads"])
    base = Path(job["base"])
    cuda = torch.cuda.is_available()
    model = load_base(
        base,
        dtype=torch.bfloat16 if cuda else torch.float32,
        device="cuda" if cuda else "cpu",
    )
    tokenizer = AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    lora = LoraConfig(
        r=job["lora"]["rank"],
        lora_alpha=job["lora"]["alpha"],
        target_modules=job["lora"]["targets"],
        task_type="CAUSAL_LM",
    )
    shared: dict[str, Any] = {
        "output_dir": job["output"],
        "seed": job["seed"],
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": not cuda,
        "bf16": cuda,
        **job["settings"],
    }
    rows = [_row(job["method"], item) for item in job["rows"]]
    data = Dataset.from_list([row for row in rows if row])
    kind, config = (SFTTrainer, SFTConfig) if job["method"] == "sft" else (DPOTrainer, DPOConfig)
    trainer: Any = kind(
        model=model,
        args=config(**shared),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora,
    )
    loop = time.perf_counter()
    trainer.train()
    trained = time.perf_counter() - loop
    trainer.model.save_pretrained(job["output"])
    used = resource.getrusage(resource.RUSAGE_SELF)
    done = {
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "seconds": round(time.perf_counter() - BEGAN, 2),
        "training_seconds": round(trained, 2),
        "steps": trainer.state.global_step,
        "peak_mb": used.ru_maxrss // 1024,
    }
    if cuda:
        done["gpu_mb"] = torch.cuda.max_memory_allocated() // 2**20
    print(json.dumps(done))


def _row(method: str, item: dict[str, str]) -> dict[str, Any] | None:
    """Return one example in TRL's conversational layout; None for DPO without a rejected reply."""
    prompt = [{"role": "user", "content": item["prompt"]}]
    chosen = [{"role": "assistant", "content": item["chosen"]}]
    if method == "sft":
        return {"prompt": prompt, "completion": chosen}
    if not item["rejected"]:
        return None
    rejected = [{"role": "assistant", "content": item["rejected"]}]
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
