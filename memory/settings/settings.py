"""The settings of one user, read from `config.toml`.

The shipped file is read first, then the user's, which overrides it key by key. Unknown keys, wrong
types and values out of range are refused with the path and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from memory.errors import FileError, SettingsError
from memory.files.bounded_read import read_toml
from memory.settings.paths import Home as Home


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        """Refuse a NUL character, which no path, address or command may contain."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a text without the character NUL")
        return value


_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
TARGETS = frozenset({
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    "in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj",
})  # fmt: skip
"""Matrices that an adapter may change: of attention, of the MLP, and of recurrent layers."""
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class ModelSettings(_Section):
    """Which GGUF is used, and how much of the machine."""

    path: str
    context: Annotated[int, Field(ge=0, le=1 << 20)]
    threads: Annotated[int, Field(ge=0, le=512)]
    gpu_layers: Annotated[int, Field(ge=-1)]


class SamplingSettings(_Section):
    """How tokens are sampled; values below 0 mean the model's recommended value."""

    temperature: Annotated[float, Field(ge=-1, le=5)]
    top_p: Annotated[float, Field(ge=-1, le=1)]
    top_k: Annotated[int, Field(ge=-1)]
    min_p: Annotated[float, Field(ge=-1, le=1)]
    repeat_penalty: Annotated[float, Field(gt=0, le=5)]
    seed: Annotated[int, Field(ge=0, lt=1 << 32)]
    max_tokens: Positive


def _was_a_switch(value: object) -> object:
    """Read what earlier versions wrote for `chat.scope`."""
    return {True: "always", False: "never"}[value] if isinstance(value, bool) else value


class ChatSettings(_Section):
    """The conversation: system prompt and what else applies to all of it."""

    system: str
    thinking: bool
    scope: Annotated[Literal["never", "auto", "always"], BeforeValidator(_was_a_switch)]


class RecallSettings(_Section):
    """When and how much is recalled."""

    enabled: bool
    limit: Annotated[int, Field(ge=0, le=20)]
    token_budget: Count
    standing_budget: Count
    floor: Share


class MemorySettings(_Section):
    """How the journal is indexed, and what may be imported."""

    dense: bool
    embedder: str
    chroma: str
    import_max_mb: Annotated[int, Field(ge=1, le=1 << 20)]

    @field_validator("chroma")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not re.fullmatch(
            r"https?://[\w.-]+(:\d{1,5})?/?|https?://\[[\da-fA-F:]+\](:\d{1,5})?/?", value
        ):
            raise ValueError(f"{value!r} is not an address such as http://127.0.0.1:8000")
        return value


class TrainingSettings(_Section):
    """The hyperparameters of a training run."""

    rank: Annotated[int, Field(ge=1, le=512)]
    alpha: Annotated[float, Field(gt=0)]
    targets: Annotated[list[str], Field(min_length=1)]
    learning_rates: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)]
    visits: Positive
    max_steps: Positive
    anchors_per_lesson: Count
    preference_weight: Annotated[float, Field(ge=0)]
    preference_beta: Annotated[float, Field(gt=0)]
    anchor_weight: Annotated[float, Field(ge=0)]
    hidden_weight: Annotated[float, Field(ge=0)]
    noise: Annotated[float, Field(ge=0, le=2)]
    frozen_layers: Annotated[float, Field(ge=0, lt=1)]
    max_minutes: Annotated[float, Field(gt=0)]
    seed: Count
    threads: Annotated[int, Field(ge=0, le=512)]

    @field_validator("targets")
    @classmethod
    def _known_targets(cls, value: list[str]) -> list[str]:
        if unknown := sorted(set(value) - TARGETS):
            raise ValueError(f"{unknown[0]!r} is not one of {', '.join(sorted(TARGETS))}")
        return value


class GateSettings(_Section):
    """The limits that an adapter must meet to be published."""

    lessons: Share
    rephrasings: Share
    kept: Share
    near_misses: Share
    anchors: Share
    kl: Annotated[float, Field(ge=0)]
    perplexity: Annotated[float, Field(ge=0)]
    perplexity_limit: Annotated[float, Field(ge=0)]
    sound: Share
    endless: Annotated[int, Field(ge=0)]
    spread: Annotated[int, Field(ge=0)]
    harmed: Annotated[int, Field(ge=0)]


class NightSettings(_Section):
    """When the nightly run happens and what it keeps."""

    enabled: bool
    time: str
    minimum: Positive
    quiet: str
    on_battery: bool
    max_minutes: Annotated[float, Field(gt=0)]
    prepare: bool
    keep: Count
    notify: bool

    @field_validator("time")
    @classmethod
    def _clock(cls, value: str) -> str:
        if not re.fullmatch(_CLOCK, value):
            raise ValueError(f"{value!r} is not a time of day such as 03:15")
        return value

    @field_validator("quiet")
    @classmethod
    def _hours(cls, value: str) -> str:
        if value and not re.fullmatch(f"{_CLOCK}-{_CLOCK}", value):
            raise ValueError(f"{value!r} is neither empty nor hours such as 08:00-18:00")
        return value


class TrainerSettings(_Section):
    """Where the training step runs."""

    launcher: Literal["local", "command", "ray"]
    card: Literal["auto", "beside", "instead", "processor"]
    command: str
    base: str
    address: str


class UiSettings(_Section):
    """How the terminal looks."""

    theme: str
    language: Literal["", "en", "ru"]
    hints: bool


KeyNames = Annotated[str, Field(min_length=1, max_length=200)]


class Settings(_Section):
    """Every setting, validated; field names are those of `config.toml`."""

    model: ModelSettings
    sampling: SamplingSettings
    chat: ChatSettings
    recall: RecallSettings
    memory: MemorySettings
    training: TrainingSettings
    gate: GateSettings
    night: NightSettings
    trainer: TrainerSettings
    ui: UiSettings
    keys: dict[str, KeyNames]
    """Keys by the id of their action; `tui/keys/registry.py` defines the actions."""


def shipped_settings_file() -> Path:
    """Return the `config.toml` that came with Discern (beside the package, or inside a wheel)."""
    package = Path(__file__).parents[1]
    packaged = package / "config.toml"
    return packaged if packaged.exists() else package.parent / "config.toml"


def read_settings(home: Home, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the shipped settings, then the user's, then `overrides` (section → key → value).

    Raises:
        SettingsError: a file is not TOML, or a key is unknown, of a wrong type or out of range.
    """
    merged = _read_toml(shipped_settings_file())
    layers: list[tuple[str, Mapping[str, Any]]] = []
    with suppress(FileNotFoundError):
        layers.append((str(home.settings_file), _read_toml(home.settings_file)))
    if overrides:
        layers.append(("the command line", overrides))
    for source, layer in layers:
        _refuse_unknown_keys(merged, layer, source)
        merged = _overlay(merged, layer, source)
        # Validated layer by layer, so that the message names the file with the mistake.
        checked = _check(merged, source)
    return checked if layers else _check(merged, str(shipped_settings_file()))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except FileError as error:
        raise SettingsError(error.sentence) from error


def _overlay(base: dict[str, Any], layer: Mapping[str, Any], source: str) -> dict[str, Any]:
    merged = {name: dict(section) for name, section in base.items()}
    for name, section in layer.items():
        if name not in merged:
            raise SettingsError(
                "{source} has an unknown section [{name}] (the sections are {sections}); fix or "
                "remove it",
                source=source,
                name=name[:40],
                sections=", ".join(merged),
            )
        if not isinstance(section, Mapping):
            raise SettingsError(
                "{source}: {name} must be a section, written as [{name}]; fix it",
                source=source,
                name=name,
            )
        merged[name].update(section)
    return merged


def _refuse_unknown_keys(base: Mapping[str, Any], layer: Mapping[str, Any], source: str) -> None:
    """Refuse unknown actions: every action is in the shipped `[keys]`."""
    given = layer.get("keys")
    for name in given if isinstance(given, Mapping) else ():
        if name not in base["keys"]:
            near = get_close_matches(name, base["keys"], n=1, cutoff=0.5)
            if near:
                raise SettingsError(
                    "{source} has an unknown key keys.{name}; did you mean {near}? Fix or remove it",
                    source=source,
                    name=name[:40],
                    near=near[0],
                )
            raise SettingsError(
                "{source} has an unknown key keys.{name}; fix or remove it: `discern config show` "
                "lists the known keys",
                source=source,
                name=name[:40],
            )


def _check(merged: dict[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                "{source} has an unknown key {key}; fix or remove it: `discern config show` lists "
                "the known keys",
                source=source,
                key=key,
            ) from error
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        given = repr(first["input"])
        given = given if len(given) <= 200 else f"{given[:197]}..."
        raise SettingsError(
            "{source}: {key} = {given} is invalid: it should be {said}; fix that value",
            source=source,
            key=key,
            given=given,
            said=said,
        ) from error
