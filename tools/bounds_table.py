"""The bounds of requests, for clients: those of the gateway's `validation.py`, in words."""

import re
from collections.abc import Iterator, Mapping

from chat_gateway.api import validation
from chat_gateway.settings import GatewaySettings
from notecast_runtime.settings import variable_of

_SETTINGS = {"text_bytes": "max_text_bytes", "rooms_per_stream": "max_rooms_per_stream"}
"""The setting of each field of `RequestLimits`."""

_ROWS = {
    "room, author": "1 to {MAX_NAME_BYTES} bytes of UTF-8, spelt as [below](#names)",
    "note id": "1 to {MAX_NAME_BYTES} bytes of UTF-8, no control characters (an empty one: the"
    " server makes one)",
    "text": "1 to {text_bytes} bytes of UTF-8; of the control characters only tab, line feed,"
    " carriage return",
    "labels": "{MAX_LABELS}; keys of 1 to {MAX_LABEL_KEY_BYTES} bytes, values of at most"
    " {MAX_LABEL_VALUE_BYTES}, no control characters",
    "rooms in one subscription": "1 to {rooms_per_stream}, each once",
    "`last`": "1 to {MAX_LAST_NOTES} notes",
    "`page_size`": "0 (means {DEFAULT_PAGE_SIZE}) to {MAX_PAGE_SIZE} notes",
}
"""By the field or thing that is bounded: the bound, with the names of its figures."""

_FIGURE = re.compile(r"\{(\w+)\}")


def bounds() -> Iterator[tuple[str, str, str]]:
    """Yields the field or thing that is bounded, the bound, and the setting that changes it.

    Raises:
        ValueError: a figure of `validation.py` is in no row.
    """
    figures = figures_of(validation)
    told = {name for bound in _ROWS.values() for name in _FIGURE.findall(bound)}
    if untold := sorted(figures.keys() - told):
        raise ValueError(f"tools/bounds_table.py has no row with {', '.join(untold)}")
    for what, bound in _ROWS.items():
        settings = [_SETTINGS[name] for name in _FIGURE.findall(bound) if name in _SETTINGS]
        set_by = ", ".join(f"`{variable_of(name)}`" for name in settings)
        yield what, _FIGURE.sub(lambda found: f"{figures[found[1]]:,}", bound), set_by


def figures_of(module: object) -> Mapping[str, int]:
    """The figures that bound requests: a module's public ones, and those of settings at default."""
    constants = {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, int)
    }
    limits = GatewaySettings.model_construct().request_limits()
    return constants | {name: getattr(limits, name) for name in limits.__dataclass_fields__}
