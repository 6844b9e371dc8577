"""Measure decoding: compared with a bare loop, with an adapter, on a busy CPU, and in batches.

    python -m benchmarks.decoding [--model GGUF] [--rounds 5] [--tokens 64]
        [--threads 0] [--only path adapter swap busy anchors]

Contestants take turns in one process, and each generates the same number of tokens greedily; results
are medians over the rounds. *bare* calls llama.cpp directly: decode a token, take the most likely one,
repeat. *engine* is `Engine.generate`. *chat* is a message through the graph and the chat model to the
text that the screen receives. *share* is a contestant's speed relative to the first row, the median of
the ratios of each round. *processor ms* is the processor time per token; with one thread
(`--threads 1`), its *share* is reliable on a busy machine too.

- path: bare, engine, chat
- adapter: a random LoRA of rank 16 on all matrices, and on some
- swap: `Engine.set_adapter` with another file, compared with loading the model again
- busy: with two busy processes; threads chosen by timing, and fixed
- anchors: seconds for the base's answers to 100 prompts, one by one (each evaluated twice: to generate,
  and for the log probabilities) and in batches

`--shape` measures a random model of Qwen3-0.6B's shape (Q8_0). Nothing is kept.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from agent.llama.engine import Engine
from agent.llama.gguf.adapter_check import passed
from agent.llama.sampling_parameters import Sampling
from agent.models.served_model import STARTER
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.settings.paths import Home
from memory.settings.settings import ModelSettings, read_settings

ASKED = "Tell me a long story about a river, a bridge and a boat."
PARTS = ("path", "adapter", "swap", "busy", "anchors")
RANK = 16
MATRICES: Mapping[str, tuple[str, ...]] = {
    "all matrices": (
        "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
    ),
    "attention": ("attn_q", "attn_k", "attn_v", "attn_output"),
    "q, v, down": ("attn_q", "attn_v", "ffn_down"),
    "down": ("ffn_down",),
    "down, upper half": ("ffn_down",),
}  # fmt: skip
Pace = tuple[float, float]
"""Tokens per second, and tokens per second of processor time."""
Contestant = Callable[[int], Pace]
"""Generates the given number of tokens."""


def moment() -> tuple[float, float]:
    """Return the clock and the processor time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def pace(times: list[tuple[float, float]]) -> Pace:
    """Return the pace of tokens from the moments at which they were generated."""
    clock, processor = (last - first for first, last in zip(times[0], times[-1], strict=True))
    return (len(times) - 1) / clock, (len(times) - 1) / processor


class Bare:
    """A loop of plain llama.cpp calls, with the context settings of the engine."""

    def __init__(self, path: Path, threads: int, context: int) -> None:
        """Load the model."""
        import llama_cpp

        self._llama = llama_cpp
        self._model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), llama_cpp.llama_model_default_params()
        )
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        self._sampler = llama_cpp.llama_sampler_init_greedy()

    def generate(self, prompt: tuple[int, ...], count: int) -> Pace:
        """Generate `count` tokens after `prompt`."""
        llama = self._llama
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        tokens = (ctypes.c_int32 * len(prompt))(*prompt)
        llama.llama_decode(self._context, llama.llama_batch_get_one(tokens, len(prompt)))
        one = (ctypes.c_int32 * 1)()
        times = []
        for _ in range(count):
            one[0] = llama.llama_sampler_sample(self._sampler, self._context, -1)
            times.append(moment())
            llama.llama_decode(self._context, llama.llama_batch_get_one(one, 1))
        return pace(times)

    def close(self) -> None:
        """Free the model."""
        self._llama.llama_sampler_free(self._sampler)
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)


def generate(engine: Engine, prompt: tuple[int, ...], count: int) -> Pace:
    """Generate up to `count` tokens with the engine."""
    times = [moment() for _ in engine.generate(prompt, Sampling(max_tokens=count))]
    return pace(times)


def random_lora(path: Path, model: Path, names: tuple[str, ...], seed: int, lower: bool) -> Path:
    """Write a random LoRA for the matrices `names`, without the `lower` half of the layers if False."""
    random = np.random.default_rng(seed)
    reader = gguf.GGUFReader(model)
    architecture = str(bytes(reader.fields["general.architecture"].parts[-1]), "utf-8")
    layers = int(reader.fields[f"{architecture}.block_count"].parts[-1][0])
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(RANK))
    for tensor in reader.tensors:
        part = tensor.name.split(".")
        if part[0] == "blk" and part[2] in names and (lower or int(part[1]) >= layers // 2):
            inputs, outputs = (int(size) for size in tensor.shape)
            a = random.normal(0, 1e-3, (RANK, inputs)).astype(np.float16)
            b = random.normal(0, 1e-3, (outputs, RANK)).astype(np.float32)
            writer.add_tensor(f"{tensor.name}.lora_a", a)
            writer.add_tensor(f"{tensor.name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def race(contestants: Mapping[str, Contestant], rounds: int, count: int) -> None:
    """Let the contestants generate `count` tokens in turn and print a table."""
    found: dict[str, list[Pace]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant(8)
    for _ in range(rounds):
        for name, contestant in contestants.items():
            found[name].append(contestant(count))
    first = next(iter(found.values()))
    print("| contestant | tok/s | lowest | highest | share | processor ms | share |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, paces in found.items():
        speeds = [speed for speed, _ in paces]
        by_clock, by_processor = (
            statistics.median(
                own[part] / other[part] for own, other in zip(paces, first, strict=True)
            )
            for part in (0, 1)
        )
        cost = 1000 / statistics.median(processor for _, processor in paces)
        print(
            f"| {name} | {statistics.median(speeds):.1f} | {min(speeds):.1f} | "
            f"{max(speeds):.1f} | {by_clock:.3f} | {cost:.2f} | {by_processor:.3f} |",
            flush=True,
        )
    print()


def measure_path(model: Path, rounds: int, count: int, threads: int) -> None:
    """Compare the bare loop, the engine, and the chat."""
    from agent.chat.chat import Chat
    from agent.chat.graph import Delta

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        home = Home.at(Path(folder))
        values: dict[str, dict[str, Any]] = {
            "model": {
                "path": "" if model == STARTER else str(model),
                "context": 2048,
                "threads": threads,
            },
            "sampling": {"temperature": 0.0, "max_tokens": count},
        }
        chat = stack.enter_context(Chat.open(home, read_settings(home, values), dense=False))
        engine = chat.engine
        from agent.llama.gguf.llama_file import physical_threads

        usual = 1 if engine.info.parameters < 50_000_000 else physical_threads()
        bare = Bare(model, threads or usual, engine.info.context)
        stack.callback(bare.close)
        prompt = compose(engine, [Message("user", ASKED)], room=count).tokens

        def through_chat(_count: int) -> Pace:
            chat.thread.start_new()
            times = [moment() for event in chat.say(ASKED) if isinstance(event, Delta)]
            return pace(times)

        race(
            {
                "bare": partial(bare.generate, prompt),
                "engine": partial(generate, engine, prompt),
                "chat": through_chat,
            },
            rounds,
            count,
        )


def measure_adapter(model: Path, rounds: int, count: int, threads: int) -> None:
    """Compare the base with adapters on more and fewer matrices."""
    with tempfile.TemporaryDirectory() as folder, Engine.open(model, small(threads)) as engine:
        prompt = compose(engine, [Message("user", ASKED)], room=count).tokens

        def adapted(adapter: Path | None, count: int) -> Pace:
            engine.set_adapter(adapter)
            return generate(engine, prompt, count)

        contestants: dict[str, Contestant] = {"base": partial(adapted, None)}
        for number, (name, names) in enumerate(MATRICES.items()):
            path = Path(folder) / f"{number}.gguf"
            random_lora(path, model, names, number, lower="upper" not in name)
            contestants[name] = partial(adapted, path)
        race(contestants, rounds, count)


def measure_swap(model: Path, rounds: int) -> None:
    """Compare changing the adapter with loading the model with it."""
    with tempfile.TemporaryDirectory() as folder, Engine.open(model, small()) as engine:
        paths = [
            random_lora(Path(folder) / f"{n}.gguf", model, MATRICES["all matrices"], n, True)
            for n in range(2)
        ]
        firsts, swaps, scales, loads = [], [], [], []
        for number in range(2 * rounds):
            one, other = paths[number % 2], paths[1 - number % 2]
            passed.clear()
            firsts.append(seconds(partial(engine.set_adapter, one)))
            engine.set_adapter(other)
            swaps.append(seconds(partial(engine.set_adapter, one)))
            scales.append(seconds(partial(engine.set_adapter, one, 0.9)))
            loads.append(seconds(partial(reload, model, one)))
        load = statistics.median(loads)
        print("| change | ms | reload / change |\n|---|---:|---:|")
        for name, found in (
            ("another adapter, the first time", firsts),
            ("another adapter, seen before", swaps),
            ("another scale", scales),
            ("reload with lora_path", loads),
        ):
            median = statistics.median(found)
            print(f"| {name} | {1000 * median:.1f} | {load / median:.1f} |")
        print()


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def reload(model: Path, adapter: Path) -> None:
    """Load model and adapter with llama-cpp-python's own class, which cannot change the adapter."""
    import llama_cpp

    llama_cpp.Llama(
        str(model), lora_path=str(adapter), n_ctx=2048, n_batch=512, verbose=False
    ).close()


def measure_busy(model: Path, rounds: int, count: int) -> None:
    """Compare numbers of threads, on an idle machine and with two busy processes."""
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(Engine.open(model, small(threads)))
            for name, threads in (("by timing", 0), ("two", 2), ("one", 1))
        }
        prompt = compose(engines["one"], [Message("user", ASKED)], room=count).tokens
        contestants: dict[str, Contestant] = {
            name: partial(generate, engine, prompt) for name, engine in engines.items()
        }
        race(contestants, rounds, count)
        with busy(2):
            race(contestants, rounds, count)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processors busy while the block runs."""
    line = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(line) for _ in range(count)]
    try:
        yield
    finally:
        for process in beside:
            process.kill()
            process.wait()


def measure_anchors(model: Path, rounds: int, threads: int, count: int = 100) -> None:
    """Time the base's answers to `count` prompts, one by one and in batches."""
    from agent.llama.batch.greedy import greedy_reply
    from trainer.lessons.anchors.base_answers import LONGEST, TOP, prompts

    with Engine.open(model, small(threads)) as engine:
        texts = [*prompts()[0], *prompts()[1]][:count]
        asked = [compose(engine, [Message("user", text)], room=LONGEST).tokens for text in texts]

        def one_by_one() -> None:
            for prompt in asked:
                made = engine.generate(prompt, Sampling(max_tokens=LONGEST)).run()
                for row in engine.log_probabilities([*prompt, *made.tokens], len(prompt)):
                    best = np.argpartition(row, -TOP)[-TOP:]
                    best[np.argsort(-row[best])]

        def in_batches() -> None:
            tasks = [greedy_reply(prompt, LONGEST, engine.ends_turn, top=TOP) for prompt in asked]
            list(engine.run_tasks(tasks))

        print("| answers | s | processor s |\n|---|---:|---:|")
        for name, work in (("one by one", one_by_one), ("together", in_batches)):
            seconds, used = [], []
            for _ in range(rounds):
                began, before = time.perf_counter(), time.process_time()
                work()
                seconds.append(time.perf_counter() - began)
                used.append(time.process_time() - before)
            print(
                f"| {count}, {name} | {statistics.median(seconds):.1f} | "
                f"{statistics.median(used):.1f} |",
                flush=True,
            )
        print()


def small(threads: int = 0) -> ModelSettings:
    """Return settings with a context that is large enough for the prompts here."""
    return ModelSettings(path="", context=2048, threads=threads, gpu_layers=-1)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description="Measure how fast replies are decoded.")
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--shape", action="store_true", help="a random model of 0.6B")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="0 is the default of the settings")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model
        if asked.shape:
            from tests.support.gguf_files import write_tiny

            model = write_tiny(
                Path(folder) / "shape.gguf", quantised=True, width=1024, head=128, heads=16,
                heads_kv=8, layers=28, inner=3072, context=4096, vocabulary=151_936,
            )  # fmt: skip
        for part in asked.only:
            print(f"### {part}: {model.name}\n", flush=True)
            if part == "path":
                measure_path(model, asked.rounds, asked.tokens, asked.threads)
            elif part == "adapter":
                measure_adapter(model, asked.rounds, asked.tokens, asked.threads)
            elif part == "swap":
                measure_swap(model, asked.rounds)
            elif part == "busy":
                measure_busy(model, asked.rounds, asked.tokens)
            else:
                measure_anchors(model, max(1, asked.rounds // 3), asked.threads)


if __name__ == "__main__":
    main()
