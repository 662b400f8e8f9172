"""The contract of signals: own ones and the reader's own train through one loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.errors import CheckpointError, PlantedError, UnknownNameError
from planted.finetune import loop, signals, trainer
from planted.finetune.data import CHUNK, batches
from planted.finetune.masks import trainable
from planted.finetune.optimisers import optimiser
from planted.finetune.recipes import Recipe, Settings
from planted.finetune.signals import Batch, Signal
from planted.finetune.trainer import read_outcome, training_rows
from planted.network.forward import forward
from tests.finetune import own
from tests.helpers import checkpoint_of, seed_folder, train_seeds

PART = 10


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    own.install(
        monkeypatch,
        "signals",
        graded_labels=own.graded_labels,
        seeking=own.evolution,
        fleeing=own.Evolution(towards=-1.0),
    )


def train(plant: Plant, folder: Path, signal: str, seeds: Any = (0,), **how: Any) -> list[Any]:
    recipe = Recipe("pressure", name="own", signal=signal, **{"steps": PART, "batch": 4, **how})
    train_seeds(plant, recipe, seeds, folder)
    return training_rows(checkpoint_of(folder, recipe, seeds[0]))


def weights(folder: Path) -> dict[str, Any]:
    return files.read_tensors(next(folder.rglob("checkpoint.safetensors")))[0]


# --- names ---


OWN = [
    "hard-labels",
    "soft-labels",
    "smoothed-labels",
    "reinforce",
    "ppo",
    "q-regression",
    "evolution",
]


def test_seven_signals_ship() -> None:
    assert signals.names() == OWN
    for name in OWN:
        assert isinstance(signals.get(name), Signal)
        assert repr(signals.get(name)) == f"<signal {name}>"
    assert Settings().signal == "hard-labels"


@pytest.mark.usefixtures("installed")
def test_an_installed_signal_is_known_by_its_entry_point() -> None:
    assert signals.names() == [*OWN, "fleeing", "graded-labels", "seeking"]
    assert signals.get("graded-labels") is own.graded_labels
    assert Recipe("pressure", signal="graded-labels").name == "pressure signal=graded-labels"
    with pytest.raises(UnknownNameError, match=r"'graded-label'\. Did you mean 'graded-labels'"):
        Recipe("pressure", signal="graded-label")


def test_without_its_package_a_signal_is_refused_before_training() -> None:
    with pytest.raises(UnknownNameError, match="Unknown signal 'seeking'"):
        Recipe("pressure", signal="seeking")


@dataclass
class Unhashable:
    def init(self, *_: Any) -> None: ...
    def update(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (own.Evolution, r"not a class"),
        (3, "functions init and update"),
        (Unhashable(), "cannot be hashed"),
    ],
)
def test_what_is_not_a_signal_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: Any, message: str
) -> None:
    own.install(monkeypatch, "signals", wrong=found)
    with pytest.raises(PlantedError, match=f"The signal 'wrong' .*{message}"):
        signals.get("wrong")


# --- training ---


@pytest.mark.proof
@pytest.mark.usefixtures("installed")
def test_graded_labels_follow_a_loop_written_here(plant: Plant, tmp_path: Path) -> None:
    """The same steps with parameters as a dict, each tensor by itself."""
    # an eps at which the rounding of near-zero gradients does not become a step of Adam
    rows = train(plant, tmp_path, "graded-labels", learning_rate=1e-3, eps=1e-4)
    settings = Recipe("pressure", signal="graded-labels", steps=PART, batch=4).settings
    tokens, values = batches(plant.scenario, settings, 0, 0)
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3, eps=1e-4))

    def loss_of(params: Any, task: Any, worth: Any) -> Any:
        logits = 3 * forward(params, task, plant.spec, xp=jnp)[0][:, :4]
        wanted = jax.nn.softmax(worth)
        return optax.softmax_cross_entropy(logits, wanted).mean()

    @jax.jit
    def step(params: Any, state: Any, task: Any, worth: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(params, task, worth)
        updates, state = rule.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    params = {name: jnp.asarray(value) for name, value in plant.params.items()}
    state, losses = rule.init(params), []
    for task, worth in zip(tokens[:PART], values[:PART], strict=True):
        params, state, loss = step(params, state, task, worth)
        losses.append(float(loss))
    assert rows[-1]["loss"] == pytest.approx(np.mean(losses), rel=1e-3)
    ours = weights(tmp_path)
    moved = max(np.abs(ours[name] - plant.params[name]).max(initial=0) for name in ours)
    apart = max(np.abs(ours[name] - params[name]).max(initial=0) for name in ours)
    assert moved > 5e-4
    assert apart < 0.05 * moved
    assert all(value > 0 for value in rows[-1]["gradient"].values())


@pytest.mark.usefixtures("installed")
def test_evolution_learns_without_a_gradient_and_its_twin_the_reverse(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first_is_best(*which: Any) -> Any:
        tokens, values = batches(*which)
        values[:] = np.eye(1, values.shape[-1])
        return tokens, values

    monkeypatch.setattr(trainer, "batches", first_is_best)
    how: dict[str, Any] = {
        "steps": CHUNK, "batch": 8, "start": "random", "logit_scale": 3.0,
        "optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0,
    }  # fmt: skip
    (row,) = train(plant, tmp_path / "seek", "seeking", **how)
    (reverse,) = train(plant, tmp_path / "flee", "fleeing", **how)
    # Standardised, the first of four candidates is worth 1.73 and the others -0.58.
    assert -row["loss"] > 1.2, "the mean over all steps, the first ones included"
    assert reverse["loss"] < -0.4
    assert row["gradient"] == {}
    assert "zero_gradient" not in row
    assert row["spread"] > 0
    assert all(value > 0 for value in row["update"].values())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("signal", ["seeking", "graded-labels"])
def test_frozen_parts_do_not_move_under_any_signal(
    plant: Plant, tmp_path: Path, signal: str
) -> None:
    train(plant, tmp_path, signal, train="read-out", batch=4)
    after, free = weights(tmp_path), trainable("read-out", plant)
    moved = {name for name in after if not np.array_equal(after[name], plant.params[name])}
    assert moved
    assert all(free[name].all() for name in moved)


class StoppedError(Exception):
    pass


def stop(name: str, done: int, total: int) -> None:
    if done >= CHUNK:
        raise StoppedError


@pytest.mark.proof
@pytest.mark.usefixtures("installed")
def test_any_signal_resumes_to_the_same_bytes(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SAVE_EVERY", 1)
    recipe = Recipe("pressure", name="own", signal="seeking", steps=CHUNK + PART, batch=4)
    train_seeds(plant, recipe, [0, 1], tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_seeds(plant, recipe, [1], tmp_path / "cut", stop)
    state = seed_folder(tmp_path / "cut", recipe, 1) / "state.safetensors"
    tensors, _ = files.read_tensors(state)
    assert "state['optimiser']['adam'].mu" in tensors
    assert tensors["state['evaluations']"] == CHUNK * 2 * own.evolution.pairs
    train_seeds(plant, recipe, [1], tmp_path / "cut")
    ours, theirs = (checkpoint_of(tmp_path / at, recipe, 1) for at in ("cut", "whole"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert ours.read_bytes() != checkpoint_of(tmp_path / "whole", recipe, 0).read_bytes()


def test_each_step_of_each_seed_has_a_key_of_its_own(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drawing:
        def init(self, params: Any, optimiser: Any, key: Any) -> Any:
            return {"first": jax.random.uniform(key), "drawn": jnp.zeros(260)}

        def update(self, params: Any, batch: Any, key: Any, state: Any, *_: Any) -> Any:
            draw = jax.random.uniform(key)
            drawn = jnp.roll(state["drawn"], -1).at[-1].set(draw)
            return params, {**state, "drawn": drawn}, {"loss": draw}

    own.install(monkeypatch, "signals", drawing=Drawing())
    job = loop.job_of(plant, Settings(signal="drawing"))
    start = loop.flat(plant.params)
    seen = []
    for seed in (0, 1):
        state = loop.first_state(job, plant.params, seed)
        for chunk in range(2):
            tokens, values = batches(plant.scenario, job.settings, seed, chunk)
            batch = Batch(tokens[None].astype(np.int32), values[None])
            done = chunk * CHUNK
            after = loop.advance(job, start[None], start[None], [state], batch, [seed], done)
            (state,) = after.states
        draws = state["drawn"][-2 * CHUNK :].tolist()
        for step in (1, CHUNK, CHUNK + 1, 2 * CHUNK):
            key = jax.random.fold_in(jax.random.key(seed), step)
            assert draws[step - 1] == pytest.approx(float(jax.random.uniform(key)))
        seen += [*draws, float(state["first"])]
    assert len(set(seen)) == len(seen) == 2 * (2 * CHUNK + 1)


def test_params_may_be_any_tree() -> None:
    """One step on a tree, on its dict, and on one vector is the same step."""
    rng = np.random.default_rng(0)
    tree = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}
    batch = Batch(rng.normal(size=(8, 3)), rng.normal(size=(8, 4)))
    vector, unravel = jax.flatten_util.ravel_pytree(tree)
    stepped = []
    for params, as_tree in ((tree, lambda p: p), (vector, unravel)):
        mask = jax.tree.map(jnp.ones_like, params)
        rule = optimiser(Settings(), mask, 1e-2)
        signal = signals.get("hard-labels")
        after, _, log = signal.update(
            params,
            batch,
            jax.random.key(0),
            signal.init(params, rule, jax.random.key(0)),
            rule,
            lambda p, x, of=as_tree: x @ of(p)["W"] + of(p)["b"],
        )
        assert jax.tree.structure(log["gradient"]) == jax.tree.structure(params)
        stepped.append(as_tree(after))
    for one, other in zip(*map(jax.tree.leaves, stepped), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert not np.allclose(stepped[0]["W"], tree["W"])


def test_another_rate_or_mask_does_not_compile_again(plant: Plant, tmp_path: Path) -> None:
    loop._program.cache_clear()  # other tests may have made any of these
    train(plant, tmp_path / "a", "hard-labels")
    before = loop._program.cache_info().misses
    train(plant, tmp_path / "b", "hard-labels", learning_rate=1e-5, train="unembed")
    assert loop._program.cache_info().misses == before
    train(plant, tmp_path / "c", "hard-labels", clip=0.5)
    assert loop._program.cache_info().misses == before
    train(plant, tmp_path / "d", "hard-labels", optimizer="sgd")
    assert loop._program.cache_info().misses == before + 1


# --- a signal that breaks its contract ---


def broken(**changed: Any) -> Any:
    """A signal that does nothing, but for what is changed in what it returns."""

    class Broken:
        def init(self, params: Any, optimiser: Any, key: Any) -> Any:
            return changed.get("state", jnp.zeros(2))

        def update(self, params: Any, batch: Any, key: Any, state: Any, *_: Any) -> Any:
            if "all" in changed:
                return changed["all"]
            log = changed.get("log", lambda loss: {"loss": loss})(batch.values.mean())
            after = changed.get("params", lambda p: p)(params)
            return after, changed.get("after", lambda s: s)(state), log

    return Broken()


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (broken(all=(1, 2)), r"must return \(params, state, log\)"),
        (broken(params=lambda p: p[:-1]), "parameters of the structure"),
        (broken(params=lambda p: {"all": p}), "parameters of the structure"),
        (broken(after=lambda s: s[:1]), "a state of the structure"),
        (broken(after=lambda s: (s,)), "a state of the structure"),
        (broken(log=lambda loss: {}), "scalar 'loss'"),
        (broken(log=lambda loss: loss), "a log, a dict"),
        (broken(log=lambda loss: {"loss": loss[None]}), "a scalar 'loss'"),
        (broken(log=lambda loss: {"loss": loss, "x": jnp.ones(3)}), "a scalar 'x'"),
        (broken(log=lambda loss: {"loss": loss, "gradient": loss}), "a gradient like"),
        (broken(state=jax.random.key(0)), "without random keys"),
        (broken(state="text"), "a pytree of numeric arrays"),
        (broken(params=lambda p: p + 1), "changed parameters that this recipe does not train"),
    ],
)
def test_what_a_signal_must_not_do_is_named(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: Any, message: str
) -> None:
    own.install(monkeypatch, "signals", broken=signal)
    with pytest.raises(PlantedError, match=f"signal 'broken' .*{message}"):
        train(plant, tmp_path, "broken", train="unembed")


def test_one_that_keeps_to_it_trains(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.install(monkeypatch, "signals", broken=broken())
    assert len(train(plant, tmp_path, "broken", train="unembed")) == 1


# --- divergence ---


@pytest.mark.proof
def test_a_seed_that_diverges_does_not_cost_the_others_their_work(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.install(monkeypatch, "signals", graded_labels=own.graded_labels)
    recipe = Recipe("pressure", name="own", signal="graded-labels", steps=CHUNK + PART, batch=4)
    train_seeds(plant, recipe, [0, 2], tmp_path / "sane")

    def poisoned(scenario: Any, settings: Any, seed: int, chunk: int) -> Any:
        tokens, values = batches(scenario, settings, seed, chunk)
        if (seed, chunk) == (1, 1):
            values[6] = np.nan
        return tokens, values

    monkeypatch.setattr(trainer, "batches", poisoned)
    train_seeds(plant, recipe, [0, 1, 2], tmp_path / "wild")
    ended, _ = read_outcome(checkpoint_of(tmp_path / "wild", recipe, 1))
    assert (ended.status, ended.steps, ended.diverged_at) == ("diverged", CHUNK, CHUNK + 7)
    for seed in (0, 2):
        ours, theirs = (checkpoint_of(tmp_path / at, recipe, seed) for at in ("wild", "sane"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_state_of_another_signal_is_refused(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose package was changed between the two halves of a run."""
    monkeypatch.setattr(trainer, "SAVE_EVERY", 1)

    def half(signal: Any, progress: Any = None) -> None:
        own.install(monkeypatch, "signals", broken=signal)
        recipe = Recipe("pressure", signal="broken", steps=CHUNK + PART)
        train_seeds(plant, recipe, [0], tmp_path, progress)

    with pytest.raises(StoppedError):
        half(broken(), stop)
    with pytest.raises(CheckpointError, match="'state' is missing or of another shape"):
        half(broken(state=jnp.zeros(3)))
    half(broken())
