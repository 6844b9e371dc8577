"""Save after every step in the training that has this on its path, and count the steps.

The steps are written to the file that QUICK_SAVES names, one per line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if (counted := os.environ.get("QUICK_SAVES", "")) and "trainer.fit" in sys.orig_argv:
    from trainer.fit import resume_training

    resume_training.SAVE_SECONDS, resume_training.MOST_SHARE = 0.0, 1e9
    save = resume_training.Checkpoint.save_if_due

    def counting(self: resume_training.Checkpoint, *arguments: Any) -> None:
        with Path(counted).open("a") as file:
            file.write(f"{self._folder.name}\n")
        save(self, *arguments)

    setattr(resume_training.Checkpoint, "save_if_due", counting)  # noqa: B010 - as for the other faults
