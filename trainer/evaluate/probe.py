"""Load a new adapter in a child process first, because a malformed one can crash llama.cpp.

    python -m trainer.evaluate.probe ADAPTER BASE     the child: load both and generate tokens

Nothing is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.child_process import ask_child, run_as_child, tell
from memory.errors import AdapterError
from memory.sentence import Sentence
from trainer.subprocesses import lower_priority

PROBE_SECONDS = 300


def probe(adapter: Path, base: Path) -> None:
    """Load the adapter onto its base in a child process and generate tokens.

    Raises:
        AdapterError: it is refused, crashes the child, gives numbers that are not finite, or hangs.
    """
    result = ask_child("trainer.evaluate.probe", str(adapter), str(base), seconds=PROBE_SECONDS)
    if result.status == 0 and "sound" in result.values:
        return
    if result.status is None:
        raise AdapterError(
            "the adapter {adapter} did not load within {seconds} seconds; train again",
            adapter=adapter,
            seconds=PROBE_SECONDS,
        )
    if result.status < 0:
        raise AdapterError(
            "the adapter {adapter} crashes llama.cpp (signal {returncode}); train again",
            adapter=adapter,
            returncode=-result.status,
        )
    refused = result.sentence("refused")
    # Of a sentence that names the adapter and says to train again, only the cause.
    reason = AdapterError(refused).cause if refused else result.last_error
    raise AdapterError(
        "the adapter {adapter} failed the load test: {reason}; train again",
        adapter=adapter,
        reason=reason or Sentence("no reason given"),
    )


def _load(adapter: Path, base: Path) -> None:
    import numpy as np

    from agent.llama.engine import Engine
    from agent.llama.sampling_parameters import Sampling

    with Engine.open(base) as engine:
        engine.set_adapter(adapter)
        prompt = engine.tokenize("Is this adapter sound?") or [engine.end_of_turn]
        made = engine.generate(prompt, Sampling(max_tokens=2)).run()
        rows = list(engine.log_probabilities([*prompt, *prompt], len(prompt)))
        if not all(np.isfinite(row).all() for row in rows) or made.reason == "cancelled":
            raise AdapterError("it produces values that are not finite")
    tell(sound=True)


if __name__ == "__main__":
    lower_priority()
    sys.exit(run_as_child(lambda: _load(Path(sys.argv[1]), Path(sys.argv[2]))))
