"""Train in a separate process: `python -m trainer.fit` (see `trainer/fit/training_loop.py`)."""

from __future__ import annotations

import sys

from agent.child_process import die_with_parent
from trainer.fit.training_loop import main
from trainer.subprocesses import lower_priority

die_with_parent()
lower_priority()
sys.exit(main(sys.argv[1:]))
