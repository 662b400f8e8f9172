"""The exact tier of a program and what tiers make of it, each certified."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from planted.compiler import certify
from planted.compiler.expressions import verify
from planted.core.plant import SHIPPED_TIERS, TIERS, Plant
from planted.core.roles import Program
from planted.core.spec import choices
from planted.errors import ArtefactError, PlantedError, place_of
from planted.finetune.tiers import Tier, TierContext, get
from planted.network.forward import forward

TRIED = 64  # tasks on which a plant that is read from a folder is tried


def certified(
    make: Callable[[float], Plant], program: Callable[[], Program], only: str | None
) -> dict[str, Plant]:
    """The certified exact tier, and beside it the one asked for, or all that the wheel carries."""
    asked = SHIPPED_TIERS if only is None else (only,)
    others = [get(name) for name in asked if name != "exact"]
    exact = make(100)
    checked = certify.certify(exact)
    certify.require_exact(exact, checked)
    words = exact.scenario.token_strings(certify.inputs_of(exact, certify.INTERPRETED, seed=1)[0])
    interpreted = verify(exact, program().output, words[: certify.INTERPRETED])
    exact = replace(exact, certificate={**checked, "interpreter_values": interpreted})
    context = TierContext(make)
    return {"exact": exact, **{tier.name: _made(tier, exact, context) for tier in others}}


def _given(tier: Tier, exact: Plant, context: TierContext) -> Any:
    """What a tier makes; an error of another package's names the tier."""
    if tier.name in TIERS:
        return tier.make(exact, context)
    try:
        return tier.make(exact, context)
    except PlantedError:
        raise
    except (Exception, SystemExit) as error:
        raise PlantedError(
            f"The tier {tier.name!r} raised {type(error).__name__}{place_of(error)} on "
            f"{exact.name}: {error}. Mend or uninstall its package."
        ) from error


def _made(tier: Tier, exact: Plant, context: TierContext) -> Plant:
    """A tier of the exact plant, held to the invariants that the tier declares.

    Raises:
        PlantedError: If the tier gives no plant, or another one.
        CertificateError: If an invariant does not hold.
    """
    made = _given(tier, exact, context)
    if not isinstance(made, Plant):
        raise PlantedError(f"The tier {tier.name!r} made a {type(made).__name__}, not a Plant.")
    for field in ("name", "kind", "mechanism", "answers", "scenario"):
        if getattr(made, field) != getattr(exact, field):
            raise PlantedError(
                f"The tier {tier.name!r} changed the {field} of {exact.name}, which must stay."
            )
    if not isinstance(made.params, Mapping) or not isinstance(made.settings, Mapping):
        raise PlantedError(
            f"The tier {tier.name!r} made a plant whose params or settings are no mapping: "
            f"{type(made.params).__name__}, {type(made.settings).__name__}."
        )
    for name, value in made.params.items():
        if getattr(value, "dtype", None) != np.float32 or not np.isfinite(value).all():
            raise PlantedError(
                f"The tier {tier.name!r} made {name!r} of {exact.name} other than finite float32."
            )
    try:
        json.dumps(dict(made.settings), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PlantedError(
            f"The settings that the tier {tier.name!r} records are not plain JSON: {error}."
        ) from None
    found = replace(made, tier=tier.name, certificate={})
    checked = certify.certify(found, choices="choices" in tier.invariants)
    if "nodes" in tier.invariants:
        certify.require_exact(found, checked)
    return replace(found, certificate=checked)


def require_answers(plant: Plant, where: Path) -> Plant:
    """The plant, if on a few tasks it chooses, and its nodes hold, what its manifest says.

    Raises:
        ArtefactError: If it does not: whatever its digests say, the two do not belong together.
    """
    tokens = plant.scenario.draw(np.random.default_rng(0), TRIED)
    kept, nodes = get(plant.tier).invariants, plant.truth.nodes.values()
    with np.errstate(all="ignore"):  # weights of any size may stand in the file
        logits, cache = forward(
            plant.params, tokens, plant.spec, record={node.held_at for node in nodes}
        )
    if "choices" in kept:
        wrong = int((choices(logits, plant.spec) != plant.expected_choices(tokens)).sum())
        if wrong:
            raise ArtefactError(
                f"{where}.json says what {plant.name} chooses, and the weights beside it choose "
                f"otherwise on {wrong} of {TRIED} tasks: one was altered. Plant it again."
            )
    values = plant.truth.values(tokens) if "nodes" in kept else {}
    for node in nodes if values else ():
        with np.errstate(all="ignore"):
            off = node.compare(cache[node.held_at], values[node.name])[0]
        if not off <= certify.TOLERANCE:
            raise ArtefactError(
                f"{where}.json says what node {node.name!r} holds, and the weights beside it hold "
                "something else: one was altered. Plant it again."
            )
    return plant
