"""What the page takes from the measures and the rule: names of figures, limits, explanations.

All other modules of the report ask here, so that a figure has one name on the whole page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from planted.eval import measures
from planted.eval.measures import Measure
from planted.eval.verdict.explain import explanation as in_words
from planted.eval.verdict.structs import Verdict
from planted.eval.verdict.thresholds import Thresholds, default


def measure(name: str) -> Measure:
    """The declaration of a figure; where nobody declares it, one that repeats its name."""
    return measures.find(name) or Measure(
        name=name, label=name, unit="", direction="", family="other", explanation=""
    )


def heading(name: str) -> str:
    """The heading that a figure is listed under."""
    return measures.heading(name)


def limits() -> Thresholds:
    """The numbers of the rule that gave the verdicts."""
    return default()


def explanation(verdict: Mapping[str, Any]) -> list[str]:
    """A verdict in words: first what it means and why, then every comparison.

    Args:
        verdict: Its fields, as `verdicts.json` holds them.
    """
    return in_words(
        msgspec.convert({k: verdict[k] for k in Verdict.__struct_fields__ if k in verdict}, Verdict)
    )
