"""What tokens cost: the person's own prices, then the table; a model that nobody knows is counted at the dearest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura_engine.config.price_table import DEAREST, PRICES, Price
from aura_engine.config.settings import Settings
from aura_engine.core.model import Usage
from aura_engine.core.text import one_line
from aura_engine.errors import ConfigError

_CURE = 'Such as: "my-model" = { input = 1.0, output = 5.0 }, in USD per million tokens.'


class _Row(BaseModel):
    """A person's row: what is cached costs as what is read anew unless they say otherwise."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)

    def price(self) -> Price:
        read, write = (self.input if each is None else each for each in (self.cache_read, self.cache_write))
        return Price(self.input, self.output, read, write)


class Prices:
    """Prices by model. `own` are the person's: they also stand against what a worker program says that it cost."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = {_plain(name): price for name, price in (own or {}).items()}

    def own(self, model: str) -> Price | None:
        """The person's own price of a model."""
        return _longest(self._own, model) if self._own else None

    def of(self, model: str) -> Price | None:
        """The price of a model; None when nobody knows it. The longest name that it begins with decides."""
        return self.own(model) or _longest(PRICES, model)

    def charged(self, usage: Usage, model: str) -> Usage:
        """The usage with its cost in USD: what was told stands, unless the person has a price of their own."""
        own = self.own(model)
        if usage.cost and own is None:
            return usage
        price = own or self.of(model) or DEAREST
        cost = (
            usage.input * price.input
            + usage.output * price.output
            + usage.cache_read * price.cache_read
            + usage.cache_write * price.cache_write
        ) / 1e6
        return usage.model_copy(update={"cost": cost})

    def running(self, usage: Usage, model: str) -> Usage:
        """The same while a worker runs: programs that tell a cost do so late, until then their tokens tell it."""
        counted = self.charged(usage.model_copy(update={"cost": 0.0}), model)
        told = usage.cost if self.own(model) is None else 0.0
        if told and (told >= counted.cost or self.of(model) is None):
            return usage
        return counted

    def doubt(self, model: str) -> str:
        """What a person should know about the price of a model; "" when it is known."""
        if self.of(model) is not None:
            return ""
        return (
            f"Nobody told what the model “{one_line(model, 80) or 'of the worker'}” costs: it is counted at the "
            f"dearest known price (${DEAREST.input:g} in, ${DEAREST.output:g} out per million tokens). To correct it, "
            f'put "{one_line(model, 80)}" = {{ input = …, output = … }} under [prices] in your config.toml.'
        )


def prices_of(settings: Settings, table: Mapping[str, Any] | None = None) -> Prices:
    """The prices in force: `table` is `[prices]` of the person's file; the file AURA_PRICES goes before it.

    Raises ConfigError naming the row that is wrong.
    """
    own = _rows(table or {}, "[prices]")
    if settings.prices:
        own |= _from_file(Path(settings.prices).expanduser())
    said = {
        part: getattr(settings, f"token_price_{name}")
        for part, name in (("input", "cache_miss"), ("cache_write", "cache_miss"), ("cache_read", "cache_hit"))
        if f"token_price_{name}" in settings.model_fields_set
    }
    if "token_price_output" in settings.model_fields_set:
        said["output"] = settings.token_price_output
    if said and settings.api_model:
        base = Prices(own).of(settings.api_model) or DEAREST
        own[settings.api_model] = base._replace(**said)
    return Prices(own)


def _from_file(path: Path) -> dict[str, Price]:
    import tomllib

    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"AURA_PRICES: {path} cannot be read: {error}.", cure=_CURE) from None
    return _rows(table, str(path))


def _rows(table: Mapping[str, Any], where: str) -> dict[str, Price]:
    found: dict[str, Price] = {}
    for name, row in table.items():
        try:
            found[name] = _Row.model_validate(row).price()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            part = ".".join(str(each) for each in cast("tuple[object, ...]", first["loc"]))
            what = f"{one_line(name, 60)} {part}".strip()
            raise ConfigError(f"{where}: {what}: {first['msg']}.", cure=_CURE) from None
    return found


def _plain(model: str) -> str:
    """A model's name without what a reseller puts before it: `anthropic/claude-…`, `us.anthropic.claude-…`."""
    return model.strip().lower().rpartition("/")[2].rpartition("anthropic.")[2]


def _longest(table: Mapping[str, Price], model: str) -> Price | None:
    plain = _plain(model)
    names = [name for name in table if name and plain.startswith(name)]
    return table[max(names, key=len)] if names else None
