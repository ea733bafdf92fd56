"""The sources of a run's settings, looked at again while it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aura_engine.config.fields import PREFIX
from aura_engine.config.load import CAPS, DEFAULT, FLAGS, Loaded, gather, load_settings
from aura_engine.config.settings import INFOS
from aura_engine.config.sources import files

ENVIRONMENT = "the environment"
Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Sources:
    """Where the settings of a run came from; see `load_settings` for the first four."""

    flags: Mapping[str, str]
    environ: Mapping[str, str]
    project: Path
    config_file: Path | None
    first: Loaded
    """What they said at the start."""

    def stamp(self) -> Stamp:
        """What every change of a file changes; it blocks for as long as the disk does."""
        return tuple(_stamp(path) for path in files(self.project, self.environ, self.config_file))

    def load(self) -> Loaded:
        """What they say now, without keys that are only referred to. ConfigError."""
        return load_settings(
            flags=self.flags,
            environ=self.environ,
            project=self.project,
            config_file=self.config_file,
            keys=False,
        )

    def in_files(self) -> dict[str, tuple[str, str]]:
        """The caps as the files alone have them: name → (text, file). ConfigError."""
        environ = {name: value for name, value in self.environ.items() if not name.startswith(PREFIX)}
        found = gather(flags={}, environ=environ, project=self.project, config_file=self.config_file)
        return {name: found.chosen[name] for name in CAPS if name in found.chosen}


def overruled(
    now: Loaded, before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """A sentence for each cap that changed in a file, and that something which goes before it sets too."""
    for name, (text, file) in after.items():
        if before.get(name) != (text, file) and now.origin[name] in (FLAGS, ENVIRONMENT):
            yield f"{name} is {text} in {file} now, but {now.origin[name]} sets it for this run, which goes before."


def without_loss(before: Loaded, now: Loaded) -> tuple[Loaded, list[str]]:
    """The settings as they are now with the caps that nothing sets any more as they were, and a sentence for each.

    A file that is away for a moment must not lift them: only a value that somebody wrote does.
    """
    gone = [name for name in CAPS if before.origin[name] != DEFAULT == now.origin[name]]
    kept = {INFOS[name].field: getattr(before.settings, INFOS[name].field) for name in gone}
    told = [f"{name} is set nowhere any more: it stays in force until the next start; 0 lifts it now." for name in gone]
    origin = {**now.origin, **{name: before.origin[name] for name in gone}}
    return replace(now, settings=now.settings.model_copy(update=kept), origin=origin), told


def how_to_set(name: str, value: str, origin: str, config_file: Path | None) -> str:
    """What a person types to change a setting that comes from `origin` (see Loaded)."""
    if origin == FLAGS:
        return f"end this run (aura stop) and start it again with -O {name}={value}"
    if origin == ENVIRONMENT:
        return f"end this run (aura stop) and start it again with {name}={value} in the environment"
    if Path(origin).name == ".env":
        return f"write {name}={value} into {origin}"
    if config_file is not None:
        return f"aura config set {name} {value} --config {config_file}"
    return f"aura config set {name} {value}"


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
