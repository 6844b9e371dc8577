"""What the serving adapter knows, against what the journal teaches today.

An adapter's manifest keeps the fingerprint of every difference it was made with, so that an edited one
is trained anew, and a forgotten or superseded one is taken out. Reads only.
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
    """Ids of what changed since the serving adapter was made; `gone` no longer teach."""

    new: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    other_base: Sentence = NOTHING
    """A sentence, when the adapter belongs to another model than the one served."""

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


def waits(home: Home, adapter: Adapter | None) -> Sentence:
    """Return what is to be said of a new adapter that does not serve at once; nothing where it does."""
    if adapter is None or not read_pointer(home.adapters).off:
        return NOTHING
    return Sentence(" Adapters are off: run `discern adapters on` to use it.")


def fit_for(adapter: Adapter | None, base: BaseEntry) -> Adapter | None:
    """Return `adapter` if its files are whole and it belongs to `base`, else None."""
    try:
        if adapter is not None:
            verify(adapter, base.sha256)
        return adapter
    except AdapterError:
        return None


def fingerprints(differences: Sequence[Difference]) -> dict[str, str]:
    """Return id → fingerprint of the differences that teach (conflicts resolved)."""
    from trainer.lessons.conflicts import current_differences

    teaching, _superseded = current_differences(differences)
    return {difference.id: difference.fingerprint for difference in teaching}


def news(adapter: Adapter | None, differences: Sequence[Difference], base: BaseEntry) -> News:
    """Return what `adapter` does not know, of `differences` as the journal has them."""
    teaching = fingerprints(differences)
    if adapter is None:
        return News(new=tuple(teaching))
    manifest = adapter.manifest
    # An adapter made before fingerprints were kept knows its differences as they are.
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
    known = set(adapter.manifest.fingerprints) | set(adapter.manifest.differences)
    return known - set(fingerprints(differences))


def require_news(found: News, teaching: int, adapter: Adapter | None, differences: int) -> None:
    """Refuse a training that has nothing to teach or would teach what is known.

    Raises:
        NothingToTrainError: in one sentence.
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
