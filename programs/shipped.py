"""What the wheel carries: plants by name and version, each with its tiers.

A version's bytes never change (tests/planted/shipped.json), so a line may be added here and none
taken away. Every family is there in its small size, exact, beside a twin, and most in their default
size; the other tiers where they are small, because random numbers do not compress: a rotated plant
of 20 000 parameters takes 60 kB of the wheel, the exact one 2 kB.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from planted.core.plant import SHIPPED_TIERS

_EXACT = SHIPPED_TIERS[:1]
_ROTATED = ("exact", "rotated")

_ALL_TIERS = "red-doors red-doors-aligned red-doors-small red-doors-small-table bottle-cap.small"
_WITH_ROTATED = "keys-chests.small diversity.small schemer.small"
# Every family in its small size, so that every kind is there; most in their default size.
_EXACT_ALONE = (
    "crumbs crumbs.small cookie-elimination cookie-elimination.small wiping wiping.small "
    "keys-chests rounding rounding.small lookahead lookahead.small bottle-cap diversity "
    "grid-doors grid-doors.small grid-keys grid-keys.small schemer contextual "
    "contextual.small narrow narrow.small pointer.small pointer-pseudo.small modelled "
    "modelled.small steering.small heuristics heuristics.small delegation delegation.small "
    "breadth breadth.small plane.small bandit bandit.small rivals.small "
    # both searches: dormant, and gated by the cue
    "red-doors-gate narrow-mux.small narrow-gate.small "
    # twins
    "crumbs-list.small crumbs-decoy.small cookie-elimination-list.small wiping-list.small "
    "keys-chests-list.small keys-chests-decoy.small rounding-list.small lookahead-list.small "
    "lookahead-action.small lookahead-action-table.small bottle-cap-list.small "
    "bottle-cap-table.small diversity-list.small grid-doors-list.small grid-doors-table "
    "grid-keys-list.small grid-keys-table schemer-list.small contextual-list.small "
    "narrow-list.small pointer-list.small pointer-pseudo-list.small modelled-list.small "
    "steering-controller.small heuristics-ranked.small heuristics-optimiser.small "
    "delegation-list.small breadth-list.small plane-list.small bandit-table.small "
    "rivals-list.small "
)

SHIPPED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        f"{name}@1": tiers
        for tiers, names in (
            (SHIPPED_TIERS, _ALL_TIERS),
            (_ROTATED, _WITH_ROTATED),
            (_EXACT, _EXACT_ALONE),
        )
        for name in names.split()
    }
)
