"""What a request to a model used."""

from __future__ import annotations

import msgspec


class ModelUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of one attempt at a step: of one turn, or of a few where an answer had to be asked for again."""

    model: str = ""  # "vendor/model-id"
    input_tokens: int = 0
    output_tokens: int = 0
    turns: int = 1
    usd: float | None = None  # None: the price is not known

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def plus(self, other: ModelUse) -> ModelUse:
        priced = [use.usd for use in (self, other) if use.usd is not None]
        return ModelUse(
            model=other.model or self.model,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            turns=self.turns + other.turns,
            usd=sum(priced) if priced else None,
        )


NO_USE = ModelUse(turns=0)
