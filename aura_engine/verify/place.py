"""The private folder in which a check's command finds its HOME."""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from aura_engine.removal import remove_few


class Place:
    """The private folder of a check's run: an empty HOME, temporary files, room for the runner's report and cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp = folder / "tmp"
        self._parts = [str(folder), *(str(folder / name) for name in ("home", "tmp", "cache"))]
        for part in self._parts:
            Path(part).mkdir(parents=True, mode=0o700)
        self._fresh = self._look()
        self.report = folder / "junit.xml"

    def _look(self) -> list[tuple[int, int, int]]:
        infos = [os.lstat(part) for part in self._parts]
        return [(info.st_mode, info.st_ino, info.st_ctime_ns) for info in infos]

    def is_fresh(self) -> bool:
        """Whether nothing came, went or changed in it since it was made: then it can serve again."""
        try:
            return self._look() == self._fresh and not any(map(os.listdir, self._parts[1:]))
        except OSError:
            return False

    def name_report(self) -> None:
        """Give the report a name that no earlier run can have known."""
        self.report = self.folder / f"junit-{secrets.token_hex(8)}.xml"

    def remove(self) -> None:
        """Take it away; blocks."""
        remove_few(self.folder)

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with what keeps a run clean and makes pytest report, also where `make` or a script starts it."""
        _, home, temp, cache = self._parts
        report = str(self.report)
        options = f"--junitxml={shlex.quote(report)} -o junit_family=xunit2 -o cache_dir={shlex.quote(cache)}"
        return {
            **base,
            "HOME": home,
            "TMPDIR": temp,
            "PYTEST_ADDOPTS": f"{base.get('PYTEST_ADDOPTS', '')} {options}".strip(),
            "JEST_JUNIT_OUTPUT_FILE": report,
            "AURA_JUNIT_FILE": report,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }
