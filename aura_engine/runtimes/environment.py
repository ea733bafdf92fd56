"""The environment of a worker or a check on this machine: an allow-list, so that no key of the person's gets in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

ALLOWED = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"})
"""Names that pass. The certificates are for networks whose proxy signs with its own; `LC_*` passes too."""


def worker_env(extra: Mapping[str, str], *, home: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a process that must not see the person's.

    `home` becomes HOME, `home/tmp` TMPDIR; neither is made here. `extra` wins over all. `environ` is this process's own
    environment unless given.
    """
    source = os.environ if environ is None else environ
    kept = {name: value for name, value in source.items() if name in ALLOWED or name.startswith("LC_")}
    kept.setdefault("PATH", os.defpath)
    if "LC_ALL" not in kept:
        kept.setdefault("LANG", "C.UTF-8")
    return {**kept, "TERM": "dumb", "HOME": str(home), "TMPDIR": str(home / "tmp"), **extra}
