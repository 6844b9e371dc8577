"""The dimensions of a model; `agent/llama/gguf/shape_reader.py` reads them from its GGUF's header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LayerKind = Literal["full_attention", "sliding_attention", "linear_attention"]
"""What a layer mixes tokens with, in transformers' words."""
FULL: LayerKind = "full_attention"
WINDOW: LayerKind = "sliding_attention"
RECURRENT: LayerKind = "linear_attention"


@dataclass(frozen=True, slots=True)
class Rope:
    """How positions rotate queries and keys.

    `theta` is the base of the frequencies, `theta_window` that of layers with a sliding window. `kind`
    of scaling is "default" (none), "linear" or "yarn"; `factor` stretches positions, and `original` is
    the number of tokens before YaRN stretched them. Rotated values are multiplied by `attention`.
    The first `size` dimensions of a head rotate.
    """

    theta: float
    theta_window: float
    kind: Literal["default", "linear", "yarn"]
    factor: float
    original: int
    attention: float
    size: int


@dataclass(frozen=True, slots=True)
class Experts:
    """`count` experts per layer, of which `used` compute a token; each is `inner` wide.

    A further one that computes every token is `shared` wide (0: there is none).
    """

    count: int
    used: int
    inner: int
    shared: int = 0


@dataclass(frozen=True, slots=True)
class DeltaNet:
    """The recurrent layers: heads of size `head`, and a convolution over `kernel` tokens."""

    key_heads: int
    value_heads: int
    head: int
    kernel: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model.

    `head` is the size of an attention head, `eps` the epsilon of RMS norms. `kinds` has an entry for
    each layer, and `window` is the number of tokens that layers with a sliding window see (0: none
    has).
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    context: int
    eps: float
    rope: Rope
    kinds: tuple[LayerKind, ...]
    window: int = 0
    experts: Experts | None = None
    delta: DeltaNet | None = None

    def cache_bytes(self, context: int) -> int:
        """Return the bytes of the cache for `context` tokens.

        Keys and values are f16, the state of a recurrent layer is f32.
        """
        row = self.kv_heads * 2 * self.head * 2
        full, window = (self.kinds.count(kind) for kind in (FULL, WINDOW))
        attention = row * (full * context + window * min(context, self.window))
        if self.delta is None:
            return attention
        delta = self.delta
        state = delta.value_heads * delta.head * delta.head
        convolved = (delta.value_heads + 2 * delta.key_heads) * delta.head * (delta.kernel - 1)
        return attention + 4 * self.kinds.count(RECURRENT) * (state + convolved)
