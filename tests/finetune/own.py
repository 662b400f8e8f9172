"""Signals and a tier of another package, and a package that brings them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib import metadata
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from planted.core import plugins
from planted.core.plant import Plant
from planted.finetune.signals import by_gradient
from planted.finetune.tiers import TierContext
from planted.network import surgery

PACKAGE = "a_package_of_the_readers_own"


def install(monkeypatch: pytest.MonkeyPatch, group: str, **found: Any) -> None:
    """Makes objects known as a package's entry points would, under their names with dashes."""
    module = ModuleType(PACKAGE)
    module.__dict__.update(found)
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    points = tuple(
        metadata.EntryPoint(name.replace("_", "-"), f"{PACKAGE}:{name}", f"planted.{group}")
        for name in found
    )
    theirs = plugins._points
    monkeypatch.setattr(plugins, "_points", lambda g: points if g == group else theirs(g))


# --- signals ---


def graded_loss(apply: Any, params: Any, batch: Any, key: Any) -> Any:
    """Cross-entropy to the softmax of what the candidates are worth."""
    import jax

    wanted = jax.nn.softmax(batch.values)
    logits = apply(params, batch.tokens)[:, : wanted.shape[1]]
    return -(wanted * jax.nn.log_softmax(logits)).sum(axis=1).mean()


graded_labels = by_gradient("graded-labels", graded_loss)


@dataclass(frozen=True)
class Evolution:
    """Antithetic evolution strategies (Salimans et al. 2017): no gradient anywhere.

    Attributes:
        pairs: Perturbations of each sign.
        sigma: Their standard deviation.
        towards: 1 to seek what the candidates are worth, -1 to flee it.
    """

    pairs: int = 4
    sigma: float = 0.02
    towards: float = 1.0

    def init(self, params: Any, optimiser: Any, key: Any) -> Any:
        import jax.numpy as jnp

        return {"optimiser": optimiser.init(params), "evaluations": jnp.zeros((), jnp.int32)}

    def update(
        self, params: Any, batch: Any, key: Any, state: Any, optimiser: Any, apply: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        import jax
        import optax

        start, tree = jax.flatten_util.ravel_pytree(params)
        noise = jax.random.normal(key, (self.pairs, len(start)))
        worth = jax.nn.standardize(batch.values)

        def gained(vector: Any) -> Any:
            logits = apply(tree(vector), batch.tokens)[:, : worth.shape[1]]
            return self.towards * (jax.nn.softmax(logits) * worth).sum(axis=1).mean()

        ahead = jax.lax.map(gained, start + self.sigma * noise)
        behind = jax.lax.map(gained, start - self.sigma * noise)
        downhill = -(ahead - behind) @ noise / (2 * self.pairs * self.sigma)
        updates, inner = optimiser.update(tree(downhill), state["optimiser"], params)
        state = {"optimiser": inner, "evaluations": state["evaluations"] + 2 * self.pairs}
        log = {"loss": -(ahead + behind).mean() / 2, "spread": (ahead - behind).std()}
        return optax.apply_updates(params, updates), state, log


evolution = Evolution()


# --- a tier ---


class Shuffled:
    """The plant with the coordinates of its residual stream in another order."""

    name = "shuffled"
    invariants = ("choices", "nodes")

    def make(self, exact: Plant, context: TierContext) -> Plant:
        width = exact.params["embed.W_E"].shape[1]
        order = np.random.default_rng(context.seed).permutation(width)
        turn = np.eye(width, dtype=np.float32)[order]
        params, truth = surgery.rotate(exact.params, exact.truth, turn)
        settings = {**exact.settings, "order": order.tolist()}
        return replace(exact, params=params, truth=truth, settings=settings)


shuffled = Shuffled()
