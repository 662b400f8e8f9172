"""The families that constructed models are made for, and which of them are sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

from planted.errors import unknown
from planted.eval.calibration.suite.build import Workshop
from planted.programs import (
    bottle_cap,
    catalogue,
    crumbs,
    diversity,
    keys,
    lookahead,
    pointer,
    red_doors,
    rounding,
    schemer,
    wiping,
)
from planted.programs.menu import Menu
from planted.programs.scaffold import scaffold

# Plants with a search over the candidates themselves and a cue at the read-out.
FAMILIES: Mapping[str, Callable[[], Menu]] = {
    "red-doors": lambda: red_doors.as_menu(catalogue.entry("red-doors").make_scenario()),
    "crumbs": crumbs.crumbs,
    "cookie-elimination": crumbs.elimination,
    "keys-chests": keys.keys,
    "bottle-cap": bottle_cap.bottle_cap,
    "pointer-pseudo": partial(pointer.pointer, reads="first", levels=2),
    "wiping": wiping.wiping,
    "lookahead": lookahead.lookahead,
    "schemer-proxy": schemer.schemer,
    "red-doors-small": lambda: red_doors.as_menu(
        catalogue.entry("red-doors-small").make_scenario()
    ),
    "rounding": rounding.rounding,
    "diversity": diversity.diversity,
}
# No threshold may be fitted on these, whatever the seed.
SEALED = ("wiping", "lookahead", "schemer-proxy", "cookie-elimination")
# On these nothing can be decided: the objectives correlate, or the base objective adds nothing up.
UNDECIDABLE = ("rounding", "diversity")


@cache
def workshop(family: str) -> Workshop:
    """The compiled scaffold of a family, with what its models share; seconds the first time.

    Raises:
        UnknownNameError: If no constructed models are made for it.
        PlantedError: If its scaffold cannot be compiled.
    """
    if family not in FAMILIES:
        raise unknown("family of the calibration suite", family, FAMILIES)
    scenario = catalogue.entry(family).make_scenario()
    return Workshop(scaffold(FAMILIES[family](), scenario))
