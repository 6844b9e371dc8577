"""Train in a separate process: `python -m trainer.fit` (see `trainer/fit/training_loop.py`)."""

from __future__ import annotations

import os
import sys

from agent.child_process import die_with_parent
from trainer.fit.training_loop import main
from trainer.subprocesses import lower_priority

# oneDNN caches code for every shape (see `MULTIPLE` in `trainer/fit/step.py`). The variable is read
# when torch is imported, after this line.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
die_with_parent()
lower_priority()
sys.exit(main(sys.argv[1:]))
