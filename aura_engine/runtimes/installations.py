"""Where programs are installed outside the system's folders, so that they start where the person's home is not shown.

A program is rarely one file: a link in `~/.local/bin` leads to a virtual environment, whose Python leads to another
folder. Links are followed hop by hop, a script's interpreter likewise, and of what is found the installation's root is
shown, read-only: a prefix with its `lib` or `share`, a `node_modules`, a virtual environment; else the folder; else the
file alone. Never shown: a folder that holds the home, the project or Aura's own data, and those known to hold secrets.
"""

from __future__ import annotations

# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH120 - pathlib raises where a folder above may not be entered
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

SYSTEM = tuple(
    Path(f"/{name}") for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "gnu")
)
"""Folders of the system that everybody may read."""
_SYSTEM = tuple(f"{each}/" for each in SYSTEM)
BINS = frozenset({"bin", "sbin", "shims", "libexec", "Scripts", "cmd"})
MARKS = ("lib", "lib64", "libexec", "share", "tools", "versions", "toolchains", "conda-meta", "pyvenv.cfg")
"""What stands beside `bin` where a folder is an installation of its own."""
SECRET = frozenset(
    {".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".npmrc", ".pki", ".password-store", ".mozilla"}
    | {".thunderbird", ".aura", ".codex", ".claude", ".qwen", ".gemini", ".git-credentials", ".vault-token", ".oci"}
)
"""Names in a home that never hold a program, but keys."""
COMMON = frozenset({".local", ".local/share", ".local/lib", ".cache", ".config", ".cargo"})
"""Folders in a home that many programs share: only what lies below them is one program's."""
TOLD = {"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv", "VOLTA_HOME": ".volta", "ASDF_DATA_DIR": ".asdf"}
"""Starters that look for their own root in HOME, which is another one in a worker: variable → default in the home."""
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
OUTSIDE = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/ssl/cert.pem", "/etc/ssl/certs")
"""Files of the system that may be links to somewhere else."""
MAX_HOPS = 40
MAX_ENTRIES = 5_000
"""Names looked at in one folder of PATH."""
MAX_PROGRAMS = 2_000


class Installations:
    """What has to be shown, read-only, for the programs asked for: `shown` (real paths) and `links` (path → target)."""

    def __init__(self, homes: Iterable[Path], hidden: Iterable[Path], path: str) -> None:
        """`homes` and `hidden` are real paths that nothing shown may hold; `path` is the workers' PATH."""
        self._homes = tuple(homes)
        self._hidden = (*self._homes, *hidden)
        self._path = path
        self._seen: set[Path] = set()
        self._real: dict[str, Path] = {}
        """Folders that only Aura can change → where they really are."""
        self.shown: set[Path] = set()
        self.links: dict[Path, str] = {}

    def copy(self) -> Installations:
        """One to add to."""
        twin = Installations(self._homes, self._hidden, self._path)
        twin.shown, twin.links, twin._real = set(self.shown), dict(self.links), self._real
        return twin

    def remember(self, folder: Path) -> None:
        """Follow the way to a folder of Aura's own once for all that lies directly in it."""
        self._real[str(folder)] = self.follow(folder)

    def survey(self, environ: Mapping[str, str]) -> None:
        """Every folder of PATH with what its programs need, and the certificates and name servers in force."""
        for entry in dict.fromkeys(self._path.split(os.pathsep)):
            if entry.startswith("/"):
                self._folder(self.follow(Path(entry)))
        for name in TOLD.keys() & environ.keys():
            self.show(self.follow(Path(environ[name])))
        certificates = [environ[name] for name in CERTIFICATES if environ.get(name, "").startswith("/")]
        for path in (*OUTSIDE, *certificates):
            real = self.follow(Path(path))
            if os.path.exists(real) and not self.covered(real):
                self.shown.add(real)
        for home in self._homes:
            if self.covered(home / ".cargo/bin") and os.path.isdir(home / ".rustup"):
                self.show(self.follow(home / ".rustup"))
        self.links = {link: target for link, target in self.links.items() if not self.covered(link)}

    def told(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Variables that tell the starters among the shown where their root is."""
        found: dict[str, str] = {}
        for name, default in TOLD.items():
            places = (Path(environ[name]),) if environ.get(name) else tuple(home / default for home in self._homes)
            for place in places:
                if os.path.isdir(place) and self.covered(place.resolve()):
                    found.setdefault(name, str(place))
        return found

    def program(self, program: Path) -> None:
        """Show what a program needs that lies at an absolute path: its installation and its interpreter's."""
        if program in self._seen or len(self._seen) > MAX_PROGRAMS:
            return
        self._seen.add(program)
        real = self.follow(program)
        if not os.path.isfile(real):
            return
        if not self.covered(real):
            self.show(*roots_of(real))
        for interpreter in _interpreters(real, self._path):
            self.program(interpreter)

    def covered(self, path: Path) -> bool:
        """Whether a real path is shown already."""
        return _of_system(f"{path}/") or any(each in self.shown for each in (path, *path.parents))

    def follow(self, path: Path) -> Path:
        """The real path behind `path`; the links on the way are kept, each under its real folder."""
        above = os.path.dirname(path)
        known = self._real.get(above)
        if known is not None and str(known) == above and not os.path.islink(path):  # at each start and check
            return path
        here, rest = (Path("/"), list(path.parts[1:])) if known is None else (known, [path.name])
        hops = 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                here = here.parent
                continue
            here /= part
            try:
                target = os.fspath(here.readlink())
            except OSError:
                continue
            hops += 1
            if hops > MAX_HOPS:
                break
            self.links[here] = target
            here = Path("/") if target.startswith("/") else here.parent
            rest = [*(part for part in Path(target).parts if part != "/"), *rest]
        return here

    def _folder(self, folder: Path) -> None:
        """A folder of PATH: itself, and what its entries lead to."""
        if not os.path.isdir(folder):
            return
        if not self.covered(folder):
            self.show(*roots_of(folder / "program"))
        for at, entry in enumerate(_entries(folder)):
            if at >= MAX_ENTRIES:
                return
            # What lies in the system's folders needs no look unless it leads out of them.
            if not _of_system(os.path.realpath(entry.path) if entry.is_symlink() else entry.path):
                self.program(Path(entry.path))

    def show(self, *candidates: Path) -> None:
        """The first of the candidates, from wide to narrow, that may be shown."""
        for path in candidates:
            if self._harmless(path):
                self.shown = {each for each in self.shown if path not in each.parents} | {path}
                environment = path / "pyvenv.cfg"
                if os.path.exists(environment):
                    self.program(path / "bin" / "python")
                return

    def _harmless(self, path: Path) -> bool:
        if path == Path("/") or not os.path.exists(path):
            return False
        if any(path == hidden or path in hidden.parents for hidden in self._hidden):
            return False
        for home in self._homes:
            if home in path.parents:
                below = path.relative_to(home)
                if below.parts[0] in SECRET or str(below) in COMMON:
                    return False
                if below.parts[0] == ".config" and len(below.parts) < 4:  # a program's settings
                    return False
        return True


def roots_of(program: Path) -> Iterator[Path]:
    """Folders that may be the whole of a program's installation, from wide to narrow; last the program itself."""
    parts = program.parts
    if "node_modules" in parts:
        modules = Path(*parts[: parts.index("node_modules") + 1])
        if modules.parent.name == "lib" and os.path.isdir(modules.parent.parent / "bin"):
            yield modules.parent.parent
        yield modules
    folder = program.parent
    if folder.name in BINS and (folder.name == "shims" or any(os.path.exists(folder.parent / mark) for mark in MARKS)):
        yield folder.parent
    yield folder
    yield program


def _of_system(path: str) -> bool:
    return path.startswith(_SYSTEM)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return


def _interpreters(script: Path, path: str) -> Iterator[Path]:
    """The interpreter that a script's first line names, and the program that `env` would start for it."""
    try:
        with script.open("rb") as stream:
            line = stream.read(256).partition(b"\n")[0]
    except OSError:
        return
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    if not words or not words[0].startswith("/"):
        return
    yield Path(words[0])
    if Path(words[0]).name == "env":
        named = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), "")
        found = shutil.which(named, path=path) if named else None
        if found:
            yield Path(found).absolute()
