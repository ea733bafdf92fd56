"""What ignore files name, asked of git itself in a folder that holds nothing but those ignore files."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from aura_engine.workspace.git import call

NAME = ".gitignore"


class Ignores:
    """The rules of some `.gitignore` files. A worker's own never are among them: they could hide its work."""

    def __init__(self, store: Path, rules: Mapping[str, bytes]) -> None:
        self._store = store
        self._rules = rules
        self._folder = store / "ignore" / _key(rules)

    def match(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that are ignored; folders are given with a slash at the end. Blocks."""
        if not self._rules or not paths:
            return set()
        if not self._folder.exists():
            self._materialise()
        done = call(
            ["check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"],
            git_dir=self._store,
            work_tree=self._folder,
            # `./` keeps a name that begins with a colon from being read as pathspec magic
            stdin=b"".join(b"./" + path.encode(errors="surrogateescape") + b"\0" for path in paths),
            ok=(0, 1),
        )
        fields = done.out.decode(errors="surrogateescape").split("\0")
        answers = zip(fields[2::4], fields[3::4], strict=False)  # source, line, pattern, path
        return {path[2:] for pattern, path in answers if pattern and not pattern.startswith("!")}

    def _materialise(self) -> None:
        self._folder.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=self._folder.parent))
        for path, text in self._rules.items():
            place = fresh / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
        try:
            fresh.rename(self._folder)
        except OSError:  # somebody was quicker
            shutil.rmtree(fresh)


def _key(rules: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, text in sorted(rules.items()):
        digest.update(b"%d %s %d " % (len(path), path.encode(errors="surrogateescape"), len(text)) + text)
    return digest.hexdigest()[:24]
