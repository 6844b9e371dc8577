"""The training step on another machine: one file goes out, an adapter's folder comes back.

    python -m trainer.launch.remote_job JOB RESULT --base GGUF [--print]

JOB is a zip of the job's two files and the sha256 of the base it was made for; a base that differs is
refused before anything is trained. RESULT is made, with the adapter in PEFT's layout. Events go to
standard output as they do from `trainer/fit/training_loop.py`; with --print the result's files
follow there too, in pieces, for whoever has no other way back. Needs what
`trainer/fit/training_loop.py` needs, and no journal.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from memory.errors import DiscernError, ModelError, TrainingError
from memory.files.bounded_read import open_file, parse_object, read_bytes, read_json
from trainer.events import Failed, ResultPiece
from trainer.fit.job import JOB, SAMPLES, read_job, write_job

BASE = "base.json"
PIECE = 48 << 10
_LARGEST = 4 << 30


def pack(folder: Path, sha256: str, target: Path) -> Path:
    """Put the job in `folder`, made for the base of that sha256, into the one file `target`."""
    header = read_json(folder / JOB)
    name = Path(header["base"]).name
    # Where things are here is nobody's business there.
    header.update(base=name, output="adapter")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(BASE, json.dumps({"name": name, "sha256": sha256}))
        file.writestr(JOB, json.dumps(header))
        file.write(folder / SAMPLES, SAMPLES)
    return target


def unpack(path: Path, folder: Path, base: Path) -> None:
    """Lay the job of `path` out in `folder`, to be fitted to `base`.

    Raises:
        TrainingError: the file is no job.
        ModelError: `base` is missing, or another one than the job was made for.
    """
    try:
        with open_file(path) as opened, zipfile.ZipFile(opened) as file:
            if sum(item.file_size for item in file.infolist()) > _LARGEST:
                raise TrainingError("the job {path} is too large to be one", path=path)
            wanted: dict[str, str] = parse_object(file.read(BASE))
            for name in (JOB, SAMPLES):
                (folder / name).write_bytes(file.read(name))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            "cannot read the job {path}: {error}; send it anew", path=path, error=error
        ) from error
    try:
        with open_file(base) as model:
            found = hashlib.file_digest(model, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ModelError("there is no base {base}; give --base", base=base) from error
    if found != wanted["sha256"]:
        raise ModelError(
            "the base {base} ({found}) is not {wanted} ({wanted2}), which the lessons were "
            "made for; put that file there",
            base=base,
            found=found[:8],
            wanted=wanted["name"],
            wanted2=wanted["sha256"][:8],
        )
    write_job(folder, replace(read_job(folder), base=base, output=folder / "adapter"))


def main(arguments: Sequence[str]) -> int:
    """Fit the job; returns 0, or 1 when that failed."""
    parser = argparse.ArgumentParser(prog="python -m trainer.launch.remote_job")
    parser.add_argument("job", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--print", action="store_true", dest="shown")
    asked = parser.parse_args(arguments)
    from trainer.fit import training_loop

    with tempfile.TemporaryDirectory(prefix="discern-") as made:
        folder = Path(made)
        try:
            unpack(asked.job, folder, asked.base.absolute())
        except DiscernError as error:
            training_loop.emit(Failed(str(error), "refused"))
            return 1
        code = training_loop.main([str(folder)])
        if code == 0:
            asked.result.mkdir(parents=True, exist_ok=True)
            for path in sorted((folder / "adapter").iterdir()):
                shutil.copyfile(path, asked.result / path.name)
                if asked.shown:
                    _print(path)
    return code


def _print(path: Path) -> None:
    from trainer.fit import training_loop

    content = read_bytes(path, _LARGEST)
    for start in range(0, max(1, len(content)), PIECE):
        piece = base64.b64encode(content[start : start + PIECE]).decode()
        training_loop.emit(ResultPiece(path.name, start, len(content), piece))


class Pieces:
    """Puts a result together from the events of `--print`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, piece: ResultPiece) -> None:
        """Write one piece.

        Raises:
            TrainingError: it does not follow what came before, or its name is none for a file.
        """
        try:
            name = piece.file
            content = base64.b64decode(piece.data, validate=True)
            path = self._folder / name
            if not name or name != Path(name).name or name.startswith("."):
                raise ValueError(f"{name[:40]!r} is no name for a file")
            self._folder.mkdir(exist_ok=True)
            if (path.stat().st_size if path.exists() else 0) != piece.start:
                raise ValueError("a piece is missing")
            with path.open("ab") as file:
                file.write(content)
        except ValueError as error:
            raise TrainingError(
                "the result came back damaged ({error}); train again", error=error
            ) from error


if __name__ == "__main__":
    from trainer.subprocesses import let_others_first

    let_others_first()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main(sys.argv[1:]))
