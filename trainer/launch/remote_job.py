"""Run a training on another machine: one file is sent, and the folder of an adapter is returned.

    python -m trainer.launch.remote_job JOB RESULT --base GGUF [--print]

JOB is a zip of the two files of a job and the sha256 of its base; another base is refused before the
training starts. RESULT is created, with the adapter in PEFT's layout. Events go to standard output like
those of `trainer/fit/training_loop.py`; with --print, the files of the result follow in pieces, for
launchers that have no other way to get them. Needs what `trainer/fit/training_loop.py` needs, and no
journal.
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

from memory.errors import DiscernError, ModelError, TrainingError, cause_of
from memory.files.bounded_read import open_file, parse_object, read_bytes, read_json
from trainer.events import Failed, ResultPiece
from trainer.fit.job import JOB, SAMPLES_FILE, read_job, write_job

BASE = "base.json"
PIECE = 48 << 10
_LARGEST = 4 << 30


def pack(folder: Path, sha256: str, target: Path) -> Path:
    """Pack the job in `folder` and the sha256 of its base into the file `target`."""
    header = read_json(folder / JOB)
    name = Path(header["base"]).name
    # Local paths are not sent to the other machine.
    header.update(base=name, output="adapter")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(BASE, json.dumps({"name": name, "sha256": sha256}))
        file.writestr(JOB, json.dumps(header))
        file.write(folder / SAMPLES_FILE, SAMPLES_FILE)
    return target


def unpack(path: Path, folder: Path, base: Path) -> None:
    """Unpack the job at `path` into `folder`, to train on `base`.

    Raises:
        TrainingError: the file is not a job.
        ModelError: `base` is missing, or another one than the job was made for.
    """
    try:
        with open_file(path) as opened, zipfile.ZipFile(opened) as file:
            if sum(item.file_size for item in file.infolist()) > _LARGEST:
                raise TrainingError("the job file {path} is too large", path=path)
            wanted: dict[str, str] = parse_object(file.read(BASE))
            for name in (JOB, SAMPLES_FILE):
                (folder / name).write_bytes(file.read(name))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(
            "cannot read the job file {path}: {error}; send it again",
            path=path,
            error=cause_of(error),
        ) from error
    try:
        with open_file(base) as model:
            found = hashlib.file_digest(model, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ModelError(
            "there is no base model at {base}; set its path with --base", base=base
        ) from error
    if found != wanted["sha256"]:
        raise ModelError(
            "the base model {base} ({sha256}) is not {wanted} ({wanted_sha256}), which the "
            "lessons were made for; use that file instead",
            base=base,
            sha256=found[:8],
            wanted=wanted["name"],
            wanted_sha256=wanted["sha256"][:8],
        )
    write_job(folder, replace(read_job(folder), base=base, output=folder / "adapter"))


def main(arguments: Sequence[str]) -> int:
    """Run the job; return 0, or 1 if it failed."""
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
            training_loop.emit(Failed(error.sentence, "refused"))
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
    """Assembles a result from the pieces that `--print` emits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, piece: ResultPiece) -> None:
        """Write one piece.

        Raises:
            TrainingError: it does not follow the previous one, or its file name is not valid.
        """
        try:
            name = piece.file
            content = base64.b64decode(piece.data, validate=True)
            path = self._folder / name
            if not name or name != Path(name).name or name.startswith("."):
                raise ValueError(f"{name[:40]!r} is not a valid file name")
            self._folder.mkdir(exist_ok=True)
            if (path.stat().st_size if path.exists() else 0) != piece.start:
                raise ValueError("a piece is missing")
            with path.open("ab") as file:
                file.write(content)
        except ValueError as error:
            raise TrainingError(
                "the returned result is damaged ({error}); train again", error=error
            ) from error


if __name__ == "__main__":
    from trainer.subprocesses import lower_priority

    lower_priority()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main(sys.argv[1:]))
