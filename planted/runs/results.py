"""Judged checkpoints, and a run of them, as the user opens them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.errors import (
    ArtefactError,
    NoSuchResultError,
    PlantedError,
    UnknownFigureError,
    unknown,
)
from planted.eval.evidence import Evidence, Records
from planted.eval.verdict.rule import Verdict
from planted.finetune.behaviour import Outcome
from planted.finetune.certain import Label
from planted.finetune.trainer import training_rows
from planted.network.model import Model
from planted.runs.findings import Finding

if TYPE_CHECKING:
    from planted.runs.compare import Comparison
    from planted.runs.over_training import StepVerdict


class _Named(dict[str, Evidence]):
    """Evidence by name; a wrong name is answered with the near ones."""

    def __missing__(self, name: str) -> Evidence:
        raise UnknownFigureError(str(unknown("figure", str(name), self)))


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint, judged.

    Attributes:
        recipe: Name of its recipe in the run; "" for a checkpoint of the user's own.
        seed: Training seed; None for a checkpoint of the user's own.
        verdict: Its verdict.
        reading: Its graded reading: cue -> {"behaviour": class, figure: [estimate, lo, hi]}.
        records: Its evidence by (name, cue), with the controls' figures beside it.
        plant: The plant it was trained from.
        path: Its safetensors file; None where weights were given.
        decided_on: File in its folder -> SHA-256, or "weights" -> digest of the weights: what the
            verdict was given on.
        weights: Its parameters where there is no file.
        outcome: How its training ended; None for a checkpoint of the user's own.
        label: The fate that its mask makes certain, with the argument; None if none is certain. The
            verdict does not know of it.
        nulls: Where the nulls beside its figures come from: trained here, or shipped.
    """

    recipe: str
    seed: int | None
    verdict: Verdict
    reading: dict[str, Any]
    records: Records = field(repr=False)
    plant: Plant = field(repr=False)
    path: Path | None = None
    decided_on: Mapping[str, str] = field(default_factory=dict, repr=False)
    weights: Params | None = field(default=None, repr=False)
    outcome: Outcome | None = None
    label: Label | None = None
    nulls: str = ""

    @property
    def evidence(self) -> dict[str, Evidence]:
        """Its evidence by name; "name[T]" where it was measured under a cue."""
        return _Named(
            {
                name if cue == "all" else f"{name}[{cue}]": record
                for (name, cue), record in self.records.items()
            }
        )

    @property
    def params(self) -> Params:
        """The trained weights: parameter name -> float32 array, of the plant's shapes.

        Raises:
            ArtefactError: If the file is missing, damaged, or not the one the verdict was given on.
            CheckpointError: If it does not hold this plant's tensors.
        """
        if self.weights is not None:
            return self.weights
        path = self._file()
        stated = self.decided_on.get(path.name)
        if stated is not None and files.file_digest(path) != stated:
            raise ArtefactError(f"{path} is not the file that the verdict was given on.")
        return self.plant.check_params(files.read_tensors(path)[0], str(path))

    def model(self, runtime: str = "numpy") -> Model:
        """The trained network as a planted model, which knows where everything was planted.

        Args:
            runtime: "numpy" or "torch"; `.model("torch").module` is a `torch.nn.Module`.

        Raises:
            ArtefactError: As for `params`.
            PlantedError: If the runtime is unknown or not installed.
        """
        return Model(replace(self.plant, params=self.params), runtime)

    @property
    def training(self) -> list[dict[str, Any]]:
        """Its training log, a row every 25 steps: step, loss, agreement, norms.

        Raises:
            PlantedError: If it is a checkpoint of the user's own, which has no log.
        """
        return training_rows(self._file())

    def _file(self) -> Path:
        if self.path is None:
            raise PlantedError("This checkpoint was given as weights: it has no file and no log.")
        return self.path

    def explain(self) -> str:
        """Why it got its verdict: a paragraph, what makes the choices, then every comparison."""
        from planted.eval.verdict.explain import explanation

        said, *lines = explanation(self.verdict)
        return "\n".join([said, *(f"- {line}" for line in lines)])

    def __str__(self) -> str:
        """One line: recipe, seed, verdict."""
        name = f"{self.recipe} {self.seed}" if self.recipe else "checkpoint"
        return f"{name}: {self.verdict} [{self.verdict.stamp}]"


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder, opened: `run[0]`, `run["pressure"]`, `len(run)`, `for result in run`.

    Attributes:
        folder: Where it is.
        plant: The plant it started from.
        results: Every judged checkpoint, by recipe and seed.
        negative_controls: Networks without the plant, judged by the same rule.
        findings: What was known before training.
        request: What `run.json` holds.
        nulls: Where the nulls come from: trained here, or shipped.
    """

    folder: Path
    plant: Plant
    results: tuple[CheckpointResult, ...]
    negative_controls: tuple[CheckpointResult, ...]
    findings: tuple[Finding, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    nulls: str = ""

    def __getitem__(self, at: Any) -> Any:
        """The result at a place, or the results of a recipe by its name.

        Raises:
            UnknownNameError: If the run has no recipe of that name.
            NoSuchResultError: If there is no result at that place; an IndexError too.
        """
        if isinstance(at, str):
            return self.of(at)
        try:
            return self.results[at]
        except IndexError:
            raise NoSuchResultError(
                f"No result {at} in {self.folder}: it has {len(self.results)} judged checkpoints, "
                f"numbered from 0. Those of a recipe: run[{self.results[0].recipe!r}]."
                if self.results
                else f"No result {at} in {self.folder}: it has no judged checkpoint."
            ) from None

    def of(self, recipe: str) -> tuple[CheckpointResult, ...]:
        """The results of a recipe, or of a negative control, in the order of seeds.

        Args:
            recipe: Its name in the run. "pressure" also names "pressure steps=250", if that is the
                only recipe of the run that starts from it.

        Raises:
            UnknownNameError: If the run has neither.
        """
        every = (*self.results, *self.negative_controls)
        names = dict.fromkeys(result.recipe for result in every)
        changed = [name for name in names if name.startswith(f"{recipe} ")]
        if recipe not in names and len(changed) == 1:
            recipe = changed[0]
        if found := tuple(result for result in every if result.recipe == recipe):
            return found
        raise unknown("recipe of this run", str(recipe), names)

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[CheckpointResult]:
        return iter(self.results)

    @property
    def verdicts(self) -> dict[str, dict[str, int]]:
        """Recipe -> verdict -> number of its seeds, the most frequent first."""
        return _counted(self.results)

    def compare(self, other: Run) -> Comparison:
        """This run beside another: verdicts by recipe, differences of key figures, requests.

        Raises:
            PlantedError: If `other` is no opened run.
        """
        from planted.runs.compare import compare

        return compare(self, other)

    def over_training(self, recipe: str, seed: int = 0) -> list[StepVerdict]:
        """The verdict on a network at every saved step (25, 50, 100, ...) and at its end.

        Takes some seconds a step the first time.

        Args:
            recipe: The recipe's name in the run.
            seed: Which of its seeds.

        Returns:
            `planted.runs.over_training.StepVerdict`: step, verdict, reading; the earliest first.

        Raises:
            UnknownNameError: If the run has no such recipe.
            PlantedError: If it has no such seed.
        """
        from planted.runs.over_training import over_training

        return over_training(self, recipe, seed)

    def measure(self, *names: str, recipe: str, seed: int = 0) -> Records:
        """What evaluators find on one network, those that only run on request among them.

        Args:
            *names: Evaluators, as "revival".
            recipe: The recipe's name in the run.
            seed: Which of its seeds.

        Returns:
            The records by (name, cue); kept in the network's folder for the next time.

        Raises:
            UnknownNameError: If there is no evaluator, or no recipe in the run, of a name.
            PlantedError: If the recipe has no such seed.
        """
        from planted.runs.measuring import measure_network

        return measure_network(self, names, recipe, seed)

    def __repr__(self) -> str:
        """The run on less than a screen: verdicts by recipe, controls, findings, folder."""
        stamps = (one.verdict.stamp for one in self.results if one.verdict.name != "not learned")
        stamp = f" ({first})" if (first := next(stamps, "")) else ""
        lines = [f"{self.plant.name} ({self.plant.tier}): verdicts over seeds{stamp}"]
        lines += _lines(self.verdicts)
        if self.negative_controls:
            lines += ["without the plant", *_lines(_counted(self.negative_controls))]
        if self.nulls:
            lines.append(f"nulls: {self.nulls}")
        lines += [f"finding: {finding}" for finding in self.findings]
        page = self.folder / "report.html"
        lines.append(f"Report: {page}" if page.exists() else f"Folder: {self.folder}")
        return "\n".join(lines)


def _counted(results: tuple[CheckpointResult, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for result in results:
        found.setdefault(result.recipe, Counter())[result.verdict.name] += 1
    return {recipe: dict(counts.most_common()) for recipe, counts in found.items()}


def _lines(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    width = max((len(name) for name in counts), default=0)
    return [
        f"  {name:<{width}}  " + ", ".join(f"{verdict} {n}" for verdict, n in found.items())
        for name, found in counts.items()
    ]


def digest_of_weights(params: Params) -> dict[str, str]:
    """What a verdict on weights without a file is given on."""
    return {"weights": artefact.params_digest(params)}
