"""The dense tier: tempered, with more room and noise on every weight, so that none is exactly 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from planted.compiler.certify import certify, inputs_of
from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.errors import CertificateError
from planted.finetune.tiers.tempered import Tempered
from planted.network import surgery

if TYPE_CHECKING:
    from planted.finetune.tiers import TierContext

SIGMAS = (
    *(0.02, 0.015, 0.01, 0.007, 0.005, 0.003, 0.002, 0.001, 0.0005, 0.0003, 0.0002, 0.0001),
    *(5e-5, 3e-5, 2e-5, 1e-5),
)
KEPT_MARGIN = 0.5  # of the tempered tier's least margin, at least
FREE_WIDTH = 0.25  # of the residual width
FREE_HEADS = 2  # in each block
_SCREEN = 4000  # tasks on which a noise is looked at before it is on all


@dataclass(frozen=True)
class Dense:
    """The tempered plant among more free capacity, under the most noise that changes no answer."""

    name: str = "dense"
    invariants: tuple[str, ...] = ("choices",)

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The plant under the largest noise of the grid that it bears.

        Raises:
            PlantedError: If the plant cannot be tempered.
            CertificateError: If it bears none; with what failed at each.
        """
        soft = Tempered().make(exact, context)
        roomy, table = with_room(soft, context.seed), []
        wanted = KEPT_MARGIN * certify(soft, nodes=False)["least_margin"]
        for sigma in SIGMAS:
            made = noisy(roomy, sigma, context.seed)
            row: dict[str, Any] = {"sigma": sigma, **_judged(made, wanted)}
            table.append(row)
            if "failed" not in row:
                settings = {**made.settings, "margin_wanted": wanted, "sigmas": table}
                return replace(made, settings=settings)
        failed = "; ".join(f"{row['sigma']:g}: {row['failed']}" for row in table)
        raise CertificateError(
            f"{exact.name} cannot be made in tier 'dense': no noise that was tried leaves every "
            f"choice, and {KEPT_MARGIN:.0%} of the tempered tier's least margin ({failed}). Take "
            "tier 'tempered'."
        )


def with_room(soft: Plant, seed: int = 0) -> Plant:
    """The tempered plant with free residual width, heads and as many free neurons again.

    Args:
        soft: The tempered tier.
        seed: Of all that is random.
    """
    width = math.ceil(FREE_WIDTH * soft.params["embed.W_E"].shape[1])
    params, truth = surgery.add_free_width(soft.params, soft.truth, seed, width, FREE_HEADS)
    free = soft.settings["free_neurons"]
    params = surgery.add_neurons(params, [seed, 1], free)
    settings = {
        **soft.settings,
        "free_width": width,
        "free_heads": [FREE_HEADS] * n_layers(params),
        "free_neurons": [2 * n for n in free],
        "room_seed": seed,
    }
    return replace(soft, tier="dense", params=params, truth=truth, settings=settings)


def noisy(plant: Plant, sigma: float, seed: int = 0) -> Plant:
    """The plant with normal noise of standard deviation `sigma` on every weight."""
    params = surgery.add_noise(plant.params, sigma, seed)
    settings = {**plant.settings, "sigma": sigma, "noise_seed": seed}
    return replace(plant, params=params, settings=settings)


def _judged(plant: Plant, wanted: float) -> dict[str, Any]:
    """The least margin under a noise on all inputs; and what failed, on a screen or on all."""
    row: dict[str, Any] = {}
    for tokens in (inputs_of(plant, n=_SCREEN)[0], None):
        found = certify(plant, tokens, nodes=False, choices=False)
        row = {"least_margin": found["least_margin"]}
        if found["mismatches"]:
            row["failed"] = f"{found['mismatches']} of {found['n']} choices differ"
        elif found["least_margin"] < wanted:
            row["failed"] = f"the least margin is {found['least_margin']:g}"
        if "failed" in row:
            break
    return row
