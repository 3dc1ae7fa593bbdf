"""How a configuration is read and written: presets, TOML files, overrides. Reading chooses the family."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from elt_ref.config.schema import EXPERIMENTS, Config, Experiment
from elt_ref.config.sentences import sentence
from elt_ref.errors import RequestError, nearest
from elt_ref.text_files import read_text


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("elt_ref") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Return a preset by name.

    Args:
        name: one of `preset_names`.
        overrides: dotted keys and values that replace the preset's, for example ``{"training.steps": 100}``.

    Raises:
        RequestError: no such preset, or an override is wrong.
    """
    if name not in preset_names():
        raise RequestError(
            f"preset: expected one of {', '.join(preset_names())}, got '{name}'{nearest(name, preset_names())}"
        )
    text = (resources.files("elt_ref") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_config(text, where=f"preset '{name}'", overrides=overrides)


def load_config(name_or_file: str | Path, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Return the preset of that name, or the configuration in that TOML file.

    Raises:
        RequestError: neither exists, or the configuration is wrong.
    """
    path = Path(name_or_file)
    if path.suffix != ".toml":
        return load_preset(str(name_or_file), overrides)
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise RequestError(f"configuration {path}: expected a readable TOML file, got {error}") from error
    return parse_config(text, where=str(path), overrides=overrides)


def parse_config(text: str, *, where: str, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """Validate the TOML `text` of a configuration, with `overrides` laid over it.

    Raises:
        RequestError: not TOML, an unknown key, or a value out of range; one sentence, beginning with `where`.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also of a number with thousands of digits
        raise RequestError(f"{where}: expected TOML, got {error}") from error
    for key, value in (overrides or {}).items():
        _lay_over(document, key, value, where)
    return validate(document, where=where)


def _lay_over(document: dict[str, Any], key: str, value: Any, where: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
        if not isinstance(document, dict):
            raise RequestError(f"{where}: expected a section at '{section}' of '{key}', got the value {document!r}")
    document[last] = value


def validate(document: Mapping[str, Any], *, where: str) -> Experiment:
    """Return the configuration that `document` describes, in the type of its family: here the family is chosen.

    Returns:
        A `MaskedExperiment`, a `DiffusionExperiment` or a `DriftingExperiment`.

    Raises:
        RequestError: in one sentence, the first thing that is wrong.
    """
    try:
        valid = Config.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{where}: {sentence(error)}") from None
    return EXPERIMENTS[valid.model.family].model_construct(valid.model_fields_set, **dict(valid))


Kind = TypeVar("Kind", bound=BaseModel)


def parse_section(kind: type[Kind], section: Mapping[str, Any]) -> Kind:
    """Return one section of a configuration, for example ``parse_section(DiffusionConfig, {"shift": 0.0, …})``.

    Raises:
        RequestError: in one sentence, the first thing that is wrong.
    """
    try:
        return kind.model_validate(section)
    except ValidationError as error:
        raise RequestError(f"{kind.__name__}: {sentence(error)}") from None


def dump_config(config: Config) -> str:
    """Return the configuration as TOML that `parse_config` reads back to an equal configuration."""
    import tomli_w  # noqa: PLC0415  only needed to write

    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
