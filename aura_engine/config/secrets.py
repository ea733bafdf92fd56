"""Which texts must never be written down: the keys among the settings, and those in the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aura_engine.config.settings import INFOS, Settings

_NAMED = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)


def secrets_in(settings: Settings, environ: Mapping[str, str]) -> set[str]:
    """The values of secret settings and of environment variables whose name says that they hold a key."""
    found = {str(getattr(settings, info.field)) for info in INFOS.values() if info.secret and not info.obsolete}
    return {value for value in found | {text for name, text in environ.items() if _NAMED.search(name)} if value.strip()}
