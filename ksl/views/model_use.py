"""What requests to models used."""

from __future__ import annotations

from ksl.records.model_use import ModelUse
from ksl.views.values import JsonObject


def use_json(use: ModelUse) -> JsonObject:
    """`usd` is null where no price is known."""
    return {
        "model": use.model or None,
        "turns": use.turns,
        "input_tokens": use.input_tokens,
        "output_tokens": use.output_tokens,
        "usd": None if use.usd is None else round(use.usd, 6),
    }
