"""The dense tier: tempered, with more room and noise on every weight, so that none is exactly 0."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from planted.compiler.certify import certify, inputs_of
from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.errors import CertificateError
from planted.finetune.tiers.tempered import Tempered, tempered_at
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

        Noise is tried on the tempered tier, and where it bears none of the grid, on the tempered
        settings that leave the largest margins: the settings of the plant hold which.

        Raises:
            PlantedError: If the plant cannot be tempered.
            CertificateError: If none bears any; with what failed at each noise.
        """
        soft = Tempered().make(exact, context)
        failed: list[str] = []
        for start in (soft, *_harder(soft, context)):
            made, table = _noisiest(start, context.seed)
            if made is not None:
                return made
            at = f"exactness {start.settings['exactness']}"
            at += f", query factor {start.settings['query_factor']}"
            each = "; ".join(f"{row['sigma']:g}: {row['failed']}" for row in table)
            failed.append(f"at {at}: {each}")
        raise CertificateError(
            f"{exact.name} cannot be made in tier 'dense': no noise that was tried leaves every "
            f"choice, and {KEPT_MARGIN:.0%} of the least margin before it, on the tempered tier or "
            f"on harder settings of it ({'; '.join(failed)}). Take tier 'tempered'."
        )


def _harder(soft: Plant, context: TierContext) -> Iterator[Plant]:
    """At each exactness the tempered setting of the largest margin, from the least exact on.

    Not that of `soft` itself.
    """
    settings = soft.settings
    (at,) = [name for name in settings if name.startswith("gradient_at_")]
    for exactness in dict.fromkeys(row["exactness"] for row in settings["grid"]):
        rows = [r for r in settings["grid"] if r["exactness"] == exactness and "gradient" in r]
        row = max(rows, key=lambda row: float(row["least_margin"]), default=None)
        if row is None or all(
            row[name] == settings[name] for name in ("exactness", "query_factor")
        ):
            continue
        plant = tempered_at(
            context.compile(exactness), exactness, row["query_factor"], context.seed
        )
        more = {"grid": settings["grid"], at: row["gradient"]}
        yield replace(plant, settings={**plant.settings, **more})


def _noisiest(soft: Plant, seed: int) -> tuple[Plant | None, list[dict[str, Any]]]:
    """The plant under the largest noise that it bears, if any; and the table of all tried."""
    roomy, table = with_room(soft, seed), []
    wanted = KEPT_MARGIN * certify(soft, nodes=False)["least_margin"]
    for sigma in SIGMAS:
        made = noisy(roomy, sigma, seed)
        row: dict[str, Any] = {"sigma": sigma, **_judged(made, wanted)}
        table.append(row)
        if "failed" not in row:
            settings = {**made.settings, "margin_wanted": wanted, "sigmas": table}
            return replace(made, settings=settings), table
    return None, table


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
