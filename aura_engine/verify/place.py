"""The private folder in which a check's command finds its HOME."""

from __future__ import annotations

import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path


class Place:
    """The private folder of a check's run: an empty HOME, temporary files, room for the runner's report and cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = [folder, *(folder / name for name in ("home", "tmp", "cache"))]
        for part in self._parts:
            part.mkdir(parents=True, mode=0o700)
        self._fresh = self._look()
        self.report = folder / "junit.xml"

    def _look(self) -> list[tuple[int, int, int]]:
        infos = [part.lstat() for part in self._parts]
        return [(info.st_mode, info.st_ino, info.st_ctime_ns) for info in infos]

    def is_fresh(self) -> bool:
        """Whether nothing came, went or changed in it since it was made: then it can serve again."""
        try:
            return self._look() == self._fresh and not any(any(part.iterdir()) for part in self._parts[1:])
        except OSError:
            return False

    def name_report(self) -> None:
        """Give the report a name that no earlier run can have known."""
        self.report = self.folder / f"junit-{secrets.token_hex(8)}.xml"

    def remove(self) -> None:
        """Take it away; blocks."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with what keeps a run clean and makes pytest report, also where `make` or a script starts it."""
        options = f"--junitxml={shlex.quote(str(self.report))} -o junit_family=xunit2"
        cache = f"-o cache_dir={shlex.quote(str(self.folder / 'cache'))}"
        return {
            **base,
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTEST_ADDOPTS": f"{base.get('PYTEST_ADDOPTS', '')} {options} {cache}".strip(),
            "JEST_JUNIT_OUTPUT_FILE": str(self.report),
            "AURA_JUNIT_FILE": str(self.report),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }
