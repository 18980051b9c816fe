"""What an agent may be given beside actions, workflows and agents: a place that has tools of its own."""

from __future__ import annotations


class ToolSource:
    """Such a place, as an author names it. Which tools it has is asked once for each prompt, and recorded."""
