"""Whether a model file can be served and trained on this machine, and the memory and time it takes.

`agent/llama/gguf/load_check.py` checks that it can be served at all. Memory and times are estimated
from the file's header and meant to be right within a factor of two; `ESTIMATE` names their basis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.llama.gguf.header import GgufHeader, read_header
from agent.llama.gguf.llama_file import physical_threads
from agent.llama.gguf.load_check import judge
from agent.llama.gguf.model_shape import Shape
from agent.llama.gguf.shape_reader import read_shape
from agent.llama.llama import DEFAULT_CONTEXT
from agent.models.models import free_memory, recommended, thinks
from memory.errors import ModelError
from memory.sentence import Sentence
from memory.settings.settings import Settings

ESTIMATE = Sentence("for ten differences, scaled from 0.6B on two cores and 4B on one large GPU")
_TRAIN = 26 * 0.6e9  # weights × tokens per second and core, forward and backward in float32
_TRAIN_GPU = 12_800 * 4e9
_SPEAK = 8e9  # bytes of weights per second that a core reads
_SPEAK_GPU = 800e9
_NIGHT_TRAINED, _NIGHT_SPOKEN = 100_000, 12_000  # tokens of a night for ten differences
_TYPES: dict[object, str] = {
    0: "f32",
    1: "f16",
    7: "q8_0",
    15: "q4_k_m",
    17: "q5_k_m",
    18: "q6_k",
    32: "bf16",
}

CheckState = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the table: what was checked, the result, and a sentence."""

    what: str
    state: CheckState
    text: Sentence


@dataclass(frozen=True, slots=True)
class Compatibility:
    """The results for one file."""

    path: Path
    name: str
    lines: tuple[CheckResult, ...]
    embeds: bool = False
    """Whether it is an embedding model (for `memory.embedder`)."""

    @property
    def serves(self) -> bool:
        """Whether the chat can use it."""
        return not any(
            line.what in ("kind", "memory") and line.state == "broken" for line in self.lines
        )

    @property
    def trains(self) -> bool:
        """Whether a night can train for it."""
        return self.serves and all(line.state != "broken" for line in self.lines)


def check_compatibility(
    path: Path,
    settings: Settings,
    *,
    free: int | None = None,
    gpu: int | None = None,
    require_trainable: Callable[[Path], None] = lambda path: None,
) -> Compatibility:
    """Check what the GGUF at `path` can be used for.

    `free` bytes of memory and `gpu` bytes of GPU memory (0: none) are looked up by default.
    `require_trainable` raises ModelError for a file that cannot be trained
    (`trainer/evaluate/torch_parity.py`).

    Raises:
        ModelError: it cannot be served.
    """
    verdict = judge(path)
    header = read_header(path)
    size = path.stat().st_size
    name = str(header.values.get("general.name") or path.stem)
    if verdict.embeds:
        kind = CheckResult(
            "kind", "broken", Sentence("embedding model: use it as memory.embedder; it cannot chat")
        )
        made = CheckResult("precision", "ok", _precision(header, size))
        return Compatibility(path, name, (kind, made), embeds=True)
    free = free_memory() if free is None else free
    gpu = gpu_memory() if gpu is None else gpu
    shape = read_shape(header, path)
    lines = [
        CheckResult(
            "kind",
            "ok",
            Sentence(
                "{architecture}, {parameters:.2f}B weights",
                architecture=header.architecture,
                parameters=header.parameters / 1e9,
            ),
        ),
        CheckResult("precision", "ok", _precision(header, size)),
        _context(shape, settings),
        _thinking(header),
        _sampling(header, settings),
        *_room(header, shape, size, settings, free, gpu),
    ]
    try:
        require_trainable(path)
    except ModelError as error:
        lines.append(CheckResult("training", "broken", error.sentence))
    return Compatibility(path, name, tuple(lines))


def _room(
    header: GgufHeader, shape: Shape, size: int, settings: Settings, free: int, gpu: int
) -> list[CheckResult]:
    """Return the lines on the memory of chat and training, and on the time that a night takes."""
    room = gpu or free
    device = Sentence("GPU memory") if gpu else Sentence("memory")
    chat = size + shape.cache_bytes(_window(shape, settings)) + (300 << 20)
    night = header.parameters * (2 if gpu else 4) + (1500 << 20)
    seconds = night_seconds(header.parameters, size, gpu=bool(gpu))
    limit = settings.training.max_minutes
    time = {"whole": _long(seconds), "estimate": ESTIMATE}
    fits = seconds < limit * 60
    return [
        _memory("memory", Sentence("chat"), chat, room, device),
        _memory("night", Sentence("training"), night, room, device),
        CheckResult(
            "time",
            "ok" if fits else "note",
            Sentence("nightly training takes about {whole} ({estimate})", **time)
            if fits
            else Sentence(
                "nightly training takes about {whole} ({estimate}); training.max_minutes stops it "
                "after {limit:g} min",
                **time,
                limit=limit,
            ),
        ),
    ]


def _window(shape: Shape, settings: Settings) -> int:
    return settings.model.context or min(shape.context, DEFAULT_CONTEXT)


def _context(shape: Shape, settings: Settings) -> CheckResult:
    window = _window(shape, settings)
    return CheckResult(
        "context",
        "ok",
        Sentence("{window:,} of {context:,} tokens", window=window, context=shape.context),
    )


def night_seconds(parameters: int, size: int, *, gpu: bool) -> float:
    """Return roughly how many seconds a night takes; see `ESTIMATE`."""
    cores = physical_threads()
    train = (_TRAIN_GPU if gpu else _TRAIN * cores) / max(1, parameters)
    speak = (_SPEAK_GPU if gpu else _SPEAK * cores) / max(1, size)
    return 30 + _NIGHT_TRAINED / train + _NIGHT_SPOKEN / speak


def gpu_memory() -> int:
    """Return the free bytes of the GPU that torch would train on; 0 without one."""
    import torch

    return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else 0


def _precision(header: GgufHeader, size: int) -> Sentence:
    bits = 8 * size / max(1, header.parameters)
    kind = _TYPES.get(header.values.get("general.file_type"), "mixed")
    return Sentence(
        "{kind}, {bits:.1f} bits per weight, {size:.2f} GB", kind=kind, bits=bits, size=size / 1e9
    )


def _thinking(header: GgufHeader) -> CheckResult:
    kind = thinks(header.template)
    said = {
        "never": Sentence("does not think before answering"),
        "if asked": Sentence("thinks before answering if chat.thinking is true"),
        "always": Sentence(
            "thinks before answering; if chat.thinking is false, the thinking is skipped"
        ),
    }
    return CheckResult("thinking", "ok", said[kind])


def _sampling(header: GgufHeader, settings: Settings) -> CheckResult:
    made = recommended(header.architecture, header.values, thinking=settings.chat.thinking)
    text = ", ".join(f"{name} {value:g}" for name, value in made.items())
    return CheckResult("sampling", "ok", Sentence("recommended: {text}", text=text))


def _memory(what: str, doing: Sentence, takes: int, room: int, device: Sentence) -> CheckResult:
    state: CheckState = "ok" if takes < 0.8 * room else "note" if takes < room else "broken"
    more = (
        Sentence("; close other programs, or choose a smaller model or a lower precision")
        if state == "broken"
        else ""
    )
    return CheckResult(
        what,
        state,
        Sentence(
            "{doing} needs about {gb:.1f} GB of the {free:.1f} GB of {device} now free{more}",
            doing=doing,
            gb=takes / 1e9,
            free=room / 1e9,
            device=device,
            more=more,
        ),
    )


def _long(seconds: float) -> Sentence:
    return (
        Sentence("{n} minute", "{n} minutes", n=round(seconds / 60))
        if seconds < 5400
        else Sentence("{seconds:.1f} hours", seconds=seconds / 3600)
    )
