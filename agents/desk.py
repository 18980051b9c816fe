"""A support agent of a shop: it looks orders up, takes goods back, and returns money where a person allows it."""

from __future__ import annotations

import os

from ksl import Agent, requires_approval

from actions.orders import lookup_order, return_money
from workflows.return_goods import return_goods

# By default a script plays the model, so that this runs anywhere. KSL_EXAMPLE_MODEL=anthropic/claude-sonnet-4.6, or
# whatever `ksl models` shows as ready, puts a real one in its place.
MODEL = os.environ.get("KSL_EXAMPLE_MODEL", "test/script/agents/scripts/support.json")

support = Agent(
    "support",
    model=MODEL,
    description="Answers customers of the shop about their orders.",
    system_prompt=(
        "You answer customers of a shop. Look an order up before you speak of it. Goods that arrived broken are "
        "returned; money is paid back only where the customer asks for it. Answer in one or two sentences."
    ),
    tools=[lookup_order, return_goods, requires_approval(return_money, timeout="2d")],
    memory=False,
    max_steps=12,
)
