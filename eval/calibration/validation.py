"""Validates the evaluators `paths` and `presence` on networks that they must read right.

What carries the choice in a compiled network, and which objective it follows, is known by
construction. Four such networks of a scenario are its validation models: the plant, a search for
the base objective alone (base), both searches with the base one answering (mux), and both with the
cue choosing between them (gate), each as compiled and in a rotated basis. An evaluator that reads
one of them wrong says nothing about checkpoints of that scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from planted.core.plant import Plant
from planted.errors import PlantedError
from planted.eval.calibration.cells import ROLES as ROLES
from planted.eval.calibration.cells import Cell as Cell
from planted.eval.calibration.cells import Role as Role
from planted.eval.calibration.cells import cannot_be_measured, cell_of
from planted.eval.calibration.demands import check
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, own
from planted.eval.evidence import index
from planted.finetune.tiers.rotated import rotate
from planted.network.model import Model

# The evaluators that are validated; what their figures must be is in `demands`.
EVALUATORS = tuple(name for name, evaluator in own().items() if evaluator.needs_validation)
NO_CELL = "no cell: its choices are best for neither objective throughout"


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one validation model was read under one cue.

    Attributes:
        plant: Name of the network.
        role: Which validation model it is.
        tier: "exact" or "rotated".
        cue: Name of the cue.
        cell: What it is by construction; empty where that is not known.
        figures: Record name -> estimate, None where it was not measured.
        failed: Evaluator -> the comparisons that failed, with their figures.
        skipped: Evaluator -> the checks that the network's construction does not allow.
        passed: Evaluator -> how many comparisons hold.
    """

    plant: str
    role: Role
    tier: str
    cue: str
    cell: str
    figures: dict[str, float | None]
    failed: dict[str, tuple[str, ...]]
    skipped: dict[str, tuple[str, ...]] = {}
    passed: dict[str, int] = {}


class ValidationResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the validation models of a scenario were read.

    Attributes:
        rows: One a network, tier and cue.
    """

    rows: tuple[Row, ...]

    @property
    def trust(self) -> dict[str, str]:
        """Evaluator -> why it is not trusted here; "" where it read every model right.

        The reason is a validation model that is missing, the first comparison that failed, or that
        nothing could be checked.
        """
        missing = [role for role in ROLES if role not in {row.role for row in self.rows}]
        if missing:
            return dict.fromkeys(EVALUATORS, missing_models(missing))
        return {name: failure(self.rows, name) for name in EVALUATORS}

    def __str__(self) -> str:
        """One line an evaluator, and what was skipped."""
        lines = []
        for name, why in self.trust.items():
            skipped = sorted({each for row in self.rows for each in row.skipped.get(name, ())})
            lines.append(f"{name}: {why or 'trusted'}")
            lines += [f"  skipped: {each}" for each in skipped]
        return "\n".join(lines)


def missing_models(roles: Iterable[str]) -> str:
    """Why nothing is trusted where validation models are missing."""
    return f"never validated: no validation model for {', '.join(roles)}"


def validate(models: Mapping[Role, Model | Plant]) -> ValidationResult:
    """Reads the validation models of a plant, each as compiled and in a rotated basis.

    Takes about ten forward passes of 8 000 tasks a network, tier and cue: some ten seconds a
    network of the size of red doors. `planted.eval.calibration.trust.remember` keeps the result.

    Args:
        models: Role -> network, in tier "exact": the plant; "base", a search for the base objective
            alone; "mux", both searches, the base one answering; "gate", both, the base one
            answering under the training cue and the other elsewhere. Roles may be missing; then
            nothing is trusted.

    Raises:
        PlantedError: If a role is unknown, "plant" is missing, a network has no score node or is no
            plant, or its tasks are not those of the plant.
    """
    plants = _checked(models)
    return ValidationResult(tuple(row for role, made in plants.items() for row in rows(made, role)))


def _checked(models: Mapping[Role, Model | Plant]) -> dict[Role, Plant]:
    if not isinstance(models, Mapping) or "plant" not in models:
        given = ", ".join(map(str, models)) if isinstance(models, Mapping) else repr(models)
        raise PlantedError(
            f"Validation models are a mapping with the roles {', '.join(ROLES)}, of which 'plant' "
            f"is needed; got {given or 'none'}."
        )
    plants: dict[Role, Plant] = {}
    for role, given_model in models.items():
        if role not in ROLES:
            raise PlantedError(f"Unknown role {role!r}; there are {', '.join(ROLES)}.")
        made = given_model.plant if isinstance(given_model, Model) else given_model
        if not isinstance(made, Plant):
            raise PlantedError(
                f"The validation model {role!r} is a planted.Model or a Plant, got "
                f"{type(made).__name__}."
            )
        plants[role] = made
    own = plants["plant"].scenario
    for role, made in plants.items():
        if (made.scenario.vocabulary, made.scenario.candidates) != (own.vocabulary, own.candidates):
            raise PlantedError(
                f"{made.name} ({role}) has other tokens or candidates than {plants['plant'].name}: "
                "validation models are networks for the same tasks."
            )
    return plants


def rows(plant: Plant, role: Role) -> list[Row]:
    """How one validation model is read, as compiled and rotated, under each cue.

    Args:
        plant: The network, in tier "exact".
        role: Which validation model it is.

    Raises:
        PlantedError: If it has no score node.
    """
    return [row(made, role, cue) for made in (plant, rotate(plant)) for cue in plant.scenario.cues]


def row(plant: Plant, role: Role, cue: int) -> Row:
    """How one validation model is read under one cue, and which figures are not as they must be.

    Raises:
        PlantedError: If it has no score node.
    """
    subject = Checkpoint(plant, plant.params)
    _ = subject.score  # refuses a network without one
    word, cell = plant.scenario.cue_name(cue), cell_of(subject, role, cue)
    if cell is None:
        nothing: dict[str, tuple[str, ...]] = dict.fromkeys(EVALUATORS, (NO_CELL,))
        return Row(plant.name, role, plant.tier, word, "", {}, nothing)
    exempt = cannot_be_measured(subject, cell, cue)
    figures: dict[str, float | None] = {}
    checked = {}
    for name in EVALUATORS:
        records = index(own()[name].measure(Context(subject, cue)))
        figures |= {record.name: record.estimate for record in records.values()}
        checked[name] = check(name, cell, records, word, exempt)
    return Row(
        plant.name,
        role,
        plant.tier,
        word,
        str(cell),
        figures,
        {name: found.failed for name, found in checked.items()},
        {name: found.skipped for name, found in checked.items()},
        {name: found.passed for name, found in checked.items()},
    )


def failure(found: Iterable[Row], evaluator: str) -> str:
    """Why an evaluator is not trusted by some rows, in words; "" if it is.

    It is the first comparison that failed, or that all were skipped.
    """
    found = tuple(found)
    for one in found:
        if one.failed[evaluator]:
            where = f"{one.plant} ({one.tier}, {one.cue})"
            return f"failed validation: {where}: {one.failed[evaluator][0]}"
    if found and not any(one.passed.get(evaluator, 0) for one in found):
        skipped = next((each for one in found for each in one.skipped.get(evaluator, ())), "")
        return f"never validated: every check was skipped ({skipped})"
    return ""
