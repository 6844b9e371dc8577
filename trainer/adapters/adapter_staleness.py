"""Compare what the current adapter was trained on with what the journal teaches now.

An adapter's manifest has the fingerprint of every difference it was trained on, so that an edited one
is trained again, and a forgotten or superseded one is removed. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.adapters import Adapter, BaseEntry, base_sha256, read_adapter, read_pointer, verify
from memory.difference import Difference
from memory.errors import AdapterError, ModelError, NothingToTrainError
from memory.sentence import NOTHING, Sentence
from memory.settings.paths import Home


@dataclass(frozen=True, slots=True)
class News:
    """Ids of the differences that changed since the adapter was trained; `gone` no longer teach."""

    new: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    other_base: Sentence = NOTHING
    """Set if the adapter was trained for another model than the one in use."""

    def __bool__(self) -> bool:
        return bool(self.new or self.edited or self.gone or self.other_base)


def serving(home: Home) -> Adapter | None:
    """Return the current adapter, or the pending one while adapters are off.

    None for the base alone or a damaged adapter.
    """
    try:
        identity = read_pointer(home.adapters).chosen
        return read_adapter(home.adapters, identity) if identity else None
    except AdapterError:
        return None


def pending_note(home: Home, adapter: Adapter | None) -> Sentence:
    """Return a note to add if a new adapter is pending because adapters are off, else nothing."""
    if adapter is None or not read_pointer(home.adapters).off:
        return NOTHING
    return Sentence(" Adapters are off: run `discern adapters on` to use it.")


def fit_for(adapter: Adapter | None, base: BaseEntry) -> Adapter | None:
    """Return `adapter` if its files are complete and it was trained for `base`, else None."""
    try:
        if adapter is not None:
            verify(adapter, base.sha256)
        return adapter
    except AdapterError:
        return None


def fingerprints(differences: Sequence[Difference]) -> dict[str, str]:
    """Return id → fingerprint of the differences that teach (conflicts resolved)."""
    from trainer.lessons.conflicting_lessons import current_differences

    teaching, _superseded = current_differences(differences)
    return {difference.id: difference.fingerprint for difference in teaching}


def news(adapter: Adapter | None, differences: Sequence[Difference], base: BaseEntry) -> News:
    """Return how `differences`, those of the journal, differ from what `adapter` was trained on."""
    teaching = fingerprints(differences)
    if adapter is None:
        return News(new=tuple(teaching))
    manifest = adapter.manifest
    # An adapter without fingerprints, of an earlier version, counts as up to date.
    known = manifest.fingerprints or {name: teaching.get(name, "") for name in manifest.differences}
    other = NOTHING
    if manifest.base.sha256 != base.sha256:
        other = Sentence(
            "the current adapter {id} was trained for {trained_for} ({trained_for_sha256}), but "
            "the model is now {model} ({model_sha256})",
            id=adapter.id[:8],
            trained_for=manifest.base.name,
            trained_for_sha256=manifest.base.sha256[:8],
            model=base.name,
            model_sha256=base.sha256[:8],
        )
    return News(
        new=tuple(name for name in teaching if name not in known),
        edited=tuple(
            name for name, print_ in teaching.items() if known.get(name, print_) != print_
        ),
        gone=tuple(name for name in known if name not in teaching),
        other_base=other,
    )


def forgotten(home: Home, differences: Sequence[Difference]) -> set[str]:
    """Return the differences that the current adapter was trained on and that no longer teach.

    They were forgotten, superseded, or lost what they taught.
    """
    adapter = serving(home)
    if adapter is None:
        return set()
    return set(adapter.manifest.trained - set(fingerprints(differences)))


def require_news(found: News, teaching: int, adapter: Adapter | None, differences: int) -> None:
    """Check that there is something new to train.

    Raises:
        NothingToTrainError: no difference teaches, or nothing changed since `adapter` was trained.
    """
    if not teaching and found.gone:
        raise NothingToTrainError(
            "all differences were forgotten, so there is nothing to train and only the base model "
            "is used"
        )
    if not teaching:
        marks = Sentence("no differences are marked yet") if not differences else (
            Sentence("no marked difference has a better answer")
        )  # fmt: skip
        raise NothingToTrainError(
            "{marks}, so there is nothing to train; mark a reply in the chat with `/diff error => "
            "better answer`",
            marks=marks,
        )
    if adapter is not None and not found:
        raise NothingToTrainError(
            "nothing has changed since the adapter {id}, which was trained on {n} difference; run "
            "`discern train --force` to train again",
            "nothing has changed since the adapter {id}, which was trained on all {n} differences; "
            "run `discern train --force` to train again",
            id=adapter.id,
            n=teaching,
        )


def entry_of(model_path: Path, home: Home) -> BaseEntry:
    """Return the name and sha256 of the model file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return BaseEntry(sha256=base_sha256(model_path, home.cache), name=model_path.name)
    except OSError as error:
        raise ModelError(
            "cannot read the model {model_path}: {strerror}; check model.path in config.toml",
            model_path=model_path,
            strerror=error.strerror,
        ) from error
