"""What the programs of the fault tests share: answers in lines of JSON, and forked workers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def say(**values: Any) -> None:
    """Write a line of JSON to standard output, unbuffered."""
    os.write(1, (json.dumps(values) + "\n").encode())


def fork_for_each_line(work: Callable[[dict[str, Any]], None]) -> None:
    """Run `work` for each line of the input (JSON) in a forked worker.

    A worker prints its process id first. When it has ended, in whatever way, its exit code is printed.
    """
    say(ready=True)
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        worker = os.fork()
        if not worker:
            code = 1
            try:
                say(pid=os.getpid())
                work(order)
                code = 0
            except Exception as error:
                say(error=repr(error))
            finally:
                os._exit(code)
        _, status = os.waitpid(worker, 0)
        say(ended=os.waitstatus_to_exitcode(status))
