"""Count the injected faults, and those survived without loss.

    python -m benchmarks.faults [PYTEST OPTIONS]

Runs tests/faults including the slow tests (some minutes). A test reports the number of faults that it
injects if that is more than one. A fault is survived if its test passes: nothing acknowledged is lost,
one complete adapter is current, locks are free, and no process is left.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent


def main(options: list[str]) -> int:
    """Run the tests, count and print a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "faults.xml"
        command = [sys.executable, "-m", "pytest", "tests/faults", "-m", "slow or not slow"]
        command += ["-o", "junit_family=xunit1"]  # the variant that keeps properties
        code = subprocess.run(
            [*command, f"--junitxml={written}", *options], cwd=ROOT, check=False
        ).returncode
        cases = ElementTree.parse(written).getroot().iter("testcase")
        rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for case in cases:
            name = case.get("classname", "").rsplit(".", 1)[-1].removeprefix("test_")
            said = [
                item.get("value") for item in case.iter("property") if item.get("name") == "faults"
            ]
            count = int(said[0] or 1) if said else 1
            skipped = case.find("skipped") is not None
            held = case.find("failure") is None and case.find("error") is None
            row = rows[name.replace("_", " ")]
            row[0] += 1
            row[1] += 0 if skipped else count
            row[2] += 0 if skipped or not held else count
            row[3] += skipped
    print("| what | tests | faults injected | survived | tests skipped |")
    print("|---|---:|---:|---:|---:|")
    for name, row in sorted(rows.items()):
        print(f"| {name} | " + " | ".join(map(str, row)) + " |")
    total = [sum(row[place] for row in rows.values()) for place in range(4)]
    print("| all | " + " | ".join(map(str, total)) + " |")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
