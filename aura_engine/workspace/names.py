"""Which names never enter a store: caches that anyone can make again, and files that hold secrets."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from fnmatch import translate

_CACHES = (
    *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", ".eggs"),
    *("node_modules", ".venv", ".gradle", ".parcel-cache", ".turbo", ".ipynb_checkpoints", ".terraform"),
    *(".ds_store", ".coverage", ".aura", "*.pyc", "*.egg-info", ".aura-*.tmp"),
)
_SECRETS = (
    *(".env*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *(".ssh", ".gnupg", ".aws", ".azure", ".gcloud", ".kube", ".docker"),
    *(".netrc", "_netrc", ".pgpass", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", ".vault-token"),
)

_IS_CACHE = re.compile("|".join(translate(pattern) for pattern in _CACHES)).match
_IS_SECRET = re.compile("|".join(translate(pattern) for pattern in _SECRETS)).match


def is_cache(name: str) -> bool:
    """Whether a file or folder of this name is left out unless somebody asks for it."""
    return _IS_CACHE(name.lower()) is not None


@functools.lru_cache(maxsize=1 << 16)
def is_secret(path: str) -> bool:
    """Whether the path, or a folder it lies in, is known to hold secrets."""
    return any(_IS_SECRET(part) for part in path.lower().split("/"))


def parents(path: str) -> Iterable[str]:
    """The folders a path lies in, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def within(path: str, places: Iterable[str]) -> bool:
    """Whether the path is one of the places or lies in one. Quick where `places` is a set or a mapping."""
    return path in places or any(parent in places for parent in parents(path))


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder that one of the paths lies in."""
    folders: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in paths}:
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
