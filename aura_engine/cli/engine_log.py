"""`engine.log`: what the engine does, for whoever looks for the reason of something; bounded, private, no secrets."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from aura_engine.core.redaction import Redactor

SIZE = 16 << 20
"""Bytes after which it is moved aside to `engine.log.1`; one such is kept."""


def open_log(path: Path, redactor: Redactor) -> None:
    """All that is logged goes to this file from now on. OSError when it cannot be written."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    handler = _Quiet(path, maxBytes=SIZE, backupCount=1, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_WithoutSecrets(redactor))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


class _Quiet(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is told once, by the disk's watch: not with a traceback for each line."""


class _WithoutSecrets(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """The whole entry, its traceback too."""
        return self._redactor(super().format(record))
