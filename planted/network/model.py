"""A runnable plant: inputs, logits, every hook point, what a node must hold, and interventions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core import arguments, artefact, files
from planted.core.circuit import Link
from planted.core.plant import Plant
from planted.core.scenario import Choices, Scenario, Tokens
from planted.core.semantics import Floats
from planted.core.spec import Spec, choices
from planted.core.truth import Truth
from planted.errors import ArtefactError, PlantedError, need
from planted.network import interventions
from planted.network.by_numpy import Network as Network
from planted.network.edges import circuit
from planted.network.effects import Effect, ablated, effects

RUNTIMES = ("numpy", "torch")


@dataclass(frozen=True)
class Model:
    """A plant with a runtime; the object that `planted.load` gives.

    Attributes:
        plant: Scenario, weights, truth and certificate.
        runtime: "numpy" or "torch": what `run_with_cache` and `module` use.
    """

    plant: Plant
    runtime: str = "numpy"

    def __post_init__(self) -> None:
        """Refuses an unknown runtime, and torch where it is not installed."""
        if not isinstance(self.plant, Plant):
            raise PlantedError(
                f"Model takes a Plant, got {self.plant!r}. To load one by name: planted.load(name)."
            )
        arguments.one_of("runtime", self.runtime, RUNTIMES)
        if self.runtime == "torch":
            need("torch", "run a model with runtime='torch'")

    def __repr__(self) -> str:
        """One line: name, tier, runtime, size."""
        size = sum(int(value.size) for value in self.plant.params.values())
        return f"<planted model {self.name} {self.tier} ({self.runtime}, {size} parameters)>"

    @property
    def name(self) -> str:
        """Catalogue name with version."""
        return self.plant.name

    @property
    def tier(self) -> str:
        """The tier: one of `planted.finetune.tiers.names()`."""
        return self.plant.tier

    @property
    def scenario(self) -> Scenario:
        """The tasks and the two objectives."""
        return self.plant.scenario

    @property
    def truth(self) -> Truth:
        """Where every node is and what it holds."""
        return self.plant.truth

    @property
    def spec(self) -> Spec:
        """Read-out position, output columns, scales."""
        return self.plant.spec

    @property
    def network(self) -> Network:
        """The weights, run by numpy: those of `module` as they are now, once there is one."""
        made = self.__dict__.get("module")
        return Network(self.plant.params if made is None else made.to_params(), self.plant.spec)

    @cached_property
    def module(self) -> Any:
        """The network as a plain torch.nn.Module.

        Its weights are a copy of the plant's and from then on the model's: what trains or edits
        them changes `choices` and `intervene`, and `plant` stays as it is.

        Raises:
            PlantedError: If torch is not installed.
        """
        need("torch", "make the nn.Module of a plant")
        from planted.network.torch_module import PlantedTransformer

        return PlantedTransformer.from_params(self.plant.params, self.plant.spec)

    def in_tier(self, tier: str) -> Model:
        """The same plant in another tier, as a model of the same runtime.

        Args:
            tier: One of `planted.finetune.tiers.names()`. Tempering a program of your own takes a
                minute.

        Raises:
            PlantedError: If the tier is not known, or how the plant was made is not recorded.
            CertificateError: If the plant cannot be made in that tier.
        """
        if self.plant.to_tier is None:
            raise PlantedError(
                f"How {self.name} was made is not recorded, so it is available only in tier "
                f"{self.tier!r}. Take it from planted.load or planted.plant."
            )
        return Model(self.plant.to_tier(tier), self.runtime)

    def inputs(self, n: int, seed: int = 0) -> Any:
        """`n` tasks of D_ref under the training cue: int64 [n, pos], BOS included.

        An array, or a torch tensor when the runtime is torch. Same n and seed, same tasks.

        Raises:
            PlantedError: If n or the seed is no whole number of at least 0.
        """
        n, seed = arguments.whole("n", n), arguments.whole("seed", seed)
        tokens = self.scenario.draw(np.random.default_rng(seed), n)
        return self._torch().from_numpy(tokens) if self.runtime == "torch" else tokens

    def run_with_cache(
        self, tokens: Any, names: str | Iterable[str] | Callable[[str], bool] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [task, output] and hook points by name, by the model's runtime.

        Args:
            tokens: Token ids [task, pos], BOS included.
            names: All hook points if None; or one, several, or a function from a name to whether
                it is wanted. "blocks.1.attn.hook_result.0" is one head's part.

        Raises:
            PlantedError: If the tokens are no tasks of the scenario, or a name is not a hook point.
        """
        checked = self._tokens(tokens)
        if self.runtime == "torch":
            return self.module.run_with_cache(  # type: ignore[no-any-return]
                self._torch().from_numpy(checked), names
            )
        return self.network.run_with_cache(checked, names)

    def choices(self, tokens: Any) -> Choices:
        """Index of the chosen candidate, [task]; -1 where the output is invalid. By numpy.

        Raises:
            PlantedError: If the tokens are no tasks, or the model is an expression, which has no
                candidates.
        """
        if not self.scenario.candidates:
            raise PlantedError(
                f"{self.name} is an expression without candidates: it chooses nothing. Its values "
                "are `expected(model.output, tokens)`, and planted.compiler.expressions.held in "
                "the weights."
            )
        return np.asarray(choices(self.network(self._tokens(tokens)), self.spec))

    def expected(self, node: str, tokens: Any) -> Floats:
        """What a node must hold, float [task, pos], by the RASP program, never from the weights.

        NaN where the node has no value; a string value counts as its place in the node's values.

        Raises:
            PlantedError: If there is no such node, or the tokens are no tasks of the scenario.
        """
        name = self.truth.node(node).name
        return self.truth.values(self._tokens(tokens))[name]

    def intervene(self, values: Mapping[str, npt.ArrayLike], tokens: Any) -> Any:
        """Logits [task, output] when nodes hold other values, by the numpy forward pass.

        Each node's subspace of the residual stream is overwritten where the node is written, and
        the rest of the network runs on. Always numpy, so that it can check a torch module.

        Args:
            values: Node name -> float [task, pos]; NaN leaves that position alone, as at BOS,
                where no node has a value.
            tokens: Token ids [task, pos].

        Raises:
            PlantedError: If there is no such node, a shape is wrong, or a value is not one that
                the node can hold.
        """
        checked = self._tokens(tokens)
        edits = []
        asked = arguments.mapping("values", values, "node names to values [task, pos]")
        for name, given in asked.items():
            node = self.truth.node(name)
            content, held = node.encode(node.checked(given, checked))
            edits.append({node.held_at: interventions.overwrite(node.basis, content, held)})
        return self.network.run_with_hooks(checked, interventions.compose(edits))

    @property
    def output(self) -> str:
        """Name of the node that the program puts out."""
        return self.truth.operations[-1].name

    def save(self, folder: str | Path) -> Path:
        """Writes the weights (safetensors) and all the rest (JSON) into a folder.

        `planted.load(folder)` reads a plant of the catalogue, of an importable function, or an
        expression; `planted.library.open_plant` one of any other scenario.

        Args:
            folder: Where; it is made if it does not exist.

        Returns:
            The folder.

        Raises:
            ArtefactError: If it cannot be written.
            PlantedError: If the module was trained or edited.
        """
        self._need_the_plants_weights()
        where = Path(folder).expanduser()
        if obstacle := files.write_obstacle(where):
            raise ArtefactError(obstacle)
        artefact.save_plant(where, self.plant, f"{self.name}-{self.tier}")
        return where

    def effects(self, n: int = 200, seed: int = 0) -> dict[str, Effect]:
        """What every node and edge does to the choice, by intervening on the network.

        By name, as "score" and "score -> beaten_share.k"; nodes first. See
        `planted.network.effects`.

        Raises:
            CertificateError: If the network does not answer as the program says it must.
            PlantedError: In tier "compressed", where weights touch the directions of nodes that
                they do not read.
        """
        if self.tier == "compressed":
            raise PlantedError(
                f"{self.plant.name} is in superposition (tier 'compressed'): weights touch the "
                "directions of nodes that they do not read, so edges cannot be found in them. Take "
                "tier 'exact' or 'tempered'."
            )
        n, seed = arguments.whole("n", n, 1), arguments.whole("seed", seed)
        nodes, edges = effects(self._as_it_is(), n, seed)
        return {effect.name: effect for effect in (*nodes, *edges)}

    def effect(
        self, site: str, intervention: str, tokens: Any, *, source: Any = None, seed: int = 0
    ) -> Any:
        """Logits [task, output] when a node, or a component's output, is replaced; by numpy.

        What your own hooks should give, computed by other code than torch's.

        Args:
            site: A node, as "score", of which the subspace alone is overwritten; or a component, as
                "blocks.0.hook_mlp_out" or "blocks.1.attn.hook_result.0". With "@3" at position 3.
            intervention: "interchange" (content on `source`, task by task), "resample" (the same
                on tasks drawn here), "mean" (over tasks, position by position), "zero".
            tokens: Token ids [task, pos].
            source: Tasks that content is taken from; drawn if None, but for "interchange".
            seed: Of that draw.

        Raises:
            PlantedError: If there is no such site or intervention, or the tasks do not match.

        Example:
            >>> import planted
            >>> model = planted.load("red-doors@1")
            >>> tokens, source = model.inputs(n=3, seed=0), model.inputs(n=3, seed=1)
            >>> swapped = model.effect("winner", "interchange", tokens, source=source)
            >>> bool((swapped.argmax(axis=1) == model.choices(source)).all())
            True
        """
        given = self._tokens(tokens)
        others = None if source is None else self._tokens(source)
        if others is not None and not len(others):
            raise PlantedError(
                "source has no tasks: give one at least, or None to have some drawn."
            )
        return ablated(
            self._as_it_is(), site, intervention, given, others, arguments.whole("seed", seed)
        )

    def circuit(
        self, intervention: str = "data-flow", n: int = 500, seed: int = 0
    ) -> tuple[Link, ...]:
        """The circuit as edges (writer, input of a reader), by what an edge is replaced with.

        Args:
            intervention: "data-flow": what the logits depend on through weights. "resample": of
                these, what changes an answer of the program when it carries what it does in another
                task. "mean", "zero": what changes a choice of the network when the reader sees the
                writer's mean output, or nothing.
            n: Tasks drawn from D_ref under every cue, and as many others to resample from.
            seed: Of the draws.

        Raises:
            PlantedError: If there is no such intervention, or n or the seed is no whole number.

        Example:
            >>> import planted
            >>> model = planted.load("red-doors@1")
            >>> len(model.circuit()), len(model.circuit("resample"))
            (17, 13)
        """
        rng = np.random.default_rng(arguments.whole("seed", seed))
        draws = [self.scenario.draw(rng, arguments.whole("n", n, 1)) for _ in range(2)]
        tokens, source = (self.scenario.with_any_cue(drawn, rng) for drawn in draws)
        return circuit(self._as_it_is(), intervention, tokens, source)

    def _as_it_is(self) -> Plant:
        """The plant with the weights that the model has now."""
        return replace(self.plant, params=self.network.params)

    def _need_the_plants_weights(self) -> None:
        """Refuses to save weights that the truth and the certificate are not of.

        Raises:
            PlantedError: If the module was trained or edited.
        """
        own, now = self.plant.params, self.network.params
        moved = [name for name in own if not np.array_equal(own[name], now[name])]
        if moved:
            raise PlantedError(
                f"The module's {moved[0]} is no longer the plant's, of which a saved plant holds "
                "the truth and the certificate. Save trained weights by "
                "safetensors.torch.save_file(model.module.state_dict(), 'trained.safetensors')."
            )

    def _tokens(self, tokens: Any) -> Tokens:
        return self.scenario.check(tokens)

    @staticmethod
    def _torch() -> Any:
        return need("torch", "run a model with runtime='torch'")
