"""Load a new adapter in a child process first, because a malformed one can crash llama.cpp.

    python -m trainer.evaluate.probe ADAPTER BASE     load both, generate tokens, print "sound" or
                                                      the reason for a failure

Nothing is written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent.child_process import die_with_parent, environment
from memory.errors import AdapterError
from memory.sentence import Sentence
from trainer.subprocesses import lower_priority

PROBE_SECONDS = 300


def probe(adapter: Path, base: Path) -> None:
    """Load the adapter onto its base in a child process and generate a token.

    Raises:
        AdapterError: it is refused, crashes the child, gives numbers that are not finite, or hangs.
    """
    command = [sys.executable, "-m", "trainer.evaluate.probe", str(adapter), str(base)]
    try:
        done = subprocess.run(
            command,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise AdapterError(
            "the adapter {adapter} did not load within {seconds} seconds; train again",
            adapter=adapter,
            seconds=PROBE_SECONDS,
        ) from error
    if done.returncode == 0 and done.stdout.strip() == "sound":
        return
    if done.returncode < 0:
        raise AdapterError(
            "the adapter {adapter} crashes llama.cpp (signal {returncode}); train again",
            adapter=adapter,
            returncode=-done.returncode,
        )
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    reason = said[-1] if said else Sentence("no reason given")
    raise AdapterError(
        "the adapter {adapter} failed the load test: {reason}; train again",
        adapter=adapter,
        reason=reason,
    )


def _here(adapter: Path, base: Path) -> int:
    """Probe in this process; print "sound" or the reason for a failure."""
    import numpy as np

    from agent.llama.engine import Engine
    from agent.llama.sampling import Sampling
    from memory.errors import DiscernError

    try:
        with Engine.open(base) as engine:
            engine.set_adapter(adapter)
            prompt = engine.tokenize("Is this adapter sound?") or [engine.end_of_turn]
            made = engine.generate(prompt, Sampling(max_tokens=2)).run()
            rows = list(engine.log_probabilities([*prompt, *prompt], len(prompt)))
            if not all(np.isfinite(row).all() for row in rows) or made.reason == "cancelled":
                raise AdapterError("it produces values that are not finite")
    except DiscernError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write("sound\n")
    return 0


if __name__ == "__main__":
    die_with_parent()
    lower_priority()
    sys.exit(_here(Path(sys.argv[1]), Path(sys.argv[2])))
