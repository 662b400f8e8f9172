"""A model as an object: pickled, copied, compared; one set of weights; weights of any kind in."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tracr.rasp import rasp

import planted
from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.core.roles import mark
from planted.errors import CheckpointError, PlantedError
from planted.network import layout
from planted.network.model import Model
from planted.network.torch_module import PlantedTransformer
from planted.programs import rasp_library
from planted.runs.own import evaluate, weights_of

NAME = "red-doors-small"


def model(tier: str = "exact", runtime: str = "torch") -> Model:
    return library.load(NAME, tier, runtime)


COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
def test_models_plants_scenarios_and_modules_are_copied(how: str) -> None:
    made, copied = model(), COPIES[how]
    tokens = made.inputs(16)
    wanted, score = made.choices(tokens), made.expected("score", tokens)
    for each in (copied(made), Model(copied(made.plant), "torch")):
        np.testing.assert_array_equal(each.choices(tokens), wanted)
        np.testing.assert_array_equal(each.expected("score", tokens), score)
        np.testing.assert_array_equal(each.inputs(5, seed=2), made.inputs(5, seed=2))
    place = copied(made.scenario)
    np.testing.assert_array_equal(place.base.of(tokens), made.scenario.base.of(tokens))
    assert torch.equal(copied(made.module)(tokens), made.module(tokens))
    assert copied(made.truth) == made.truth
    np.testing.assert_array_equal(copied(made.network)(tokens), made.network(tokens))


@pytest.mark.parametrize("how", COPIES)
def test_a_plant_whose_functions_refer_to_its_scenario_is_copied(how: str) -> None:
    """As of a derived scenario, whose objectives and samplers call each other."""
    table = {"a": 2, "b": 1, "c": 0}
    score = mark(rasp.Map(lambda t: table.get(t, -1), rasp.tokens), "score", "score")
    winner = rasp_library.choose(score, 3, rasp_library.ones())
    made = planted.plant(
        rasp_library.emit(winner, ("T", "D")),
        vocabulary="abc",
        length=3,
        wants=lambda task, k: table[task[k - 1]],
        rewards=lambda task, k: -table[task[k - 1]],
    )
    tokens, other = made.inputs(8), COPIES[how](made)
    np.testing.assert_array_equal(other.choices(tokens), made.choices(tokens))
    for side in ("mesa", "base"):
        wanted = getattr(made.scenario, side).of(tokens)
        np.testing.assert_array_equal(getattr(other.scenario, side).of(tokens), wanted)
    np.testing.assert_array_equal(other.inputs(4, seed=3), made.inputs(4, seed=3))


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_has_weights_of_its_own(how: str) -> None:
    made = model()
    other = COPIES[how](made)
    assert other == made
    assert hash(other) == hash(made)
    other.plant.params["unembed.W_U"][:] = 0
    assert other != made
    assert made.plant.params["unembed.W_U"].any()
    with torch.no_grad():
        other.module.head.weight.zero_()
    assert made.module.head.weight.any()


def test_equality_is_of_weights_truth_and_tasks() -> None:
    made = model()
    assert made == model()
    assert made.plant == model().plant
    assert made != model("tempered")
    assert made != model(runtime="numpy")
    assert made.plant != library.load("red-doors").plant
    assert made != "red-doors-small"
    assert len({made, model(), model("tempered")}) == 2
    assert (
        len({made.plant, made.scenario, made.truth, made.network, *made.truth.nodes.values()}) > 4
    )
    node = made.truth.nodes["score"]
    assert node == model().truth.nodes["score"]
    assert node != made.truth.nodes["winner"]


def test_an_edited_module_and_the_model_never_disagree() -> None:
    made = model()
    tokens = made.inputs(64)
    before, plant = made.choices(tokens), made.plant.params["unembed.W_U"].copy()
    with torch.no_grad():
        made.module.head.weight[[0, 1]] = made.module.head.weight[[1, 0]]
    by_module = made.module(tokens).argmax(dim=1).numpy()
    np.testing.assert_array_equal(made.choices(tokens), by_module)
    assert (made.choices(tokens) != before).any()
    np.testing.assert_array_equal(made.intervene({}, tokens).argmax(axis=1), by_module)
    np.testing.assert_array_equal(made.network(tokens).argmax(axis=1), by_module)
    np.testing.assert_array_equal(made.plant.params["unembed.W_U"], plant)


def test_activations_in_a_graph_decode_and_score_without_a_warning() -> None:
    made = model()
    tokens = made.inputs(8)
    _, cache = made.run_with_cache(tokens)
    node = made.truth.nodes["score"]
    stream = cache[node.held_at]
    assert stream.requires_grad
    want = made.expected("score", tokens)
    held = ~np.isnan(want)
    for given in (stream, stream.bfloat16(), stream.detach(), stream.detach().numpy()):
        np.testing.assert_allclose(node.decode(given)[held], want[held], atol=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(stream[:, 0] - stream[:, 1]).mean().item() > 0


GIVEN: dict[str, Any] = {
    "to_params": lambda module: module.to_params(),
    "tensors that require grad": lambda module: {
        name: torch.from_numpy(value).requires_grad_() for name, value in module.to_params().items()
    },
    "state_dict": lambda module: module.state_dict(),
    "parameters": lambda module: dict(module.named_parameters()),
    "compiled": lambda module: torch.compile(module, backend="eager").state_dict(),
    "compiled module": lambda module: torch.compile(module, backend="eager"),
    "of several processes": lambda module: {
        f"module.{name}": value for name, value in module.state_dict().items()
    },
    "wrapped": lambda module: torch.nn.ModuleDict({"module": module}),
    "module": lambda module: module,
}


@pytest.mark.parametrize("how", GIVEN)
def test_weights_come_in_whatever_holds_them(how: str) -> None:
    plant = model("tempered").plant
    module = PlantedTransformer.from_params(plant.params, plant.spec)
    found, path = weights_of(GIVEN[how](module), plant)
    assert path is None
    assert set(found) == set(plant.params)
    for name, value in plant.params.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("names", ["state_dict", "to_params"])
def test_files_of_every_precision_are_read(names: str, dtype: torch.dtype, tmp_path: Path) -> None:
    plant = model().plant
    module = PlantedTransformer.from_params(plant.params, plant.spec)
    tensors = module.state_dict()
    if names == "to_params":
        tensors = {name: torch.from_numpy(value) for name, value in module.to_params().items()}
    path = tmp_path / "model.safetensors"
    save_file({name: value.to(dtype).contiguous() for name, value in tensors.items()}, path)
    found, given = weights_of(str(path), plant)
    assert given == path
    for name, value in plant.params.items():
        want = torch.from_numpy(np.array(value)).to(dtype).float().numpy()
        np.testing.assert_array_equal(found[name], want, err_msg=name)


def test_a_damaged_bfloat16_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"embed.W_E": torch.ones(8, 8, dtype=torch.bfloat16)}, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(PlantedError, match="truncated or not a safetensors file"):
        files.read_tensors(path)


def test_what_is_no_such_weight_is_named() -> None:
    plant = model().plant
    module = PlantedTransformer.from_params(plant.params, plant.spec)
    state = dict(module.state_dict())
    del state["layers.0.mlp.fc_in.weight"]
    with pytest.raises(CheckpointError, match=r"'blocks\.0\.mlp\.W_in' of red-doors-small"):
        weights_of(state, plant)
    state = {**module.state_dict(), "head.weight": torch.ones(2, 3)}
    with pytest.raises(CheckpointError, match=r"'unembed\.W_U' has shape \[2, 3\]"):
        weights_of(state, plant)
    state = {**module.state_dict(), "extra.weight": torch.ones(2)}
    with pytest.raises(CheckpointError, match=r"'extra\.weight' is not one of"):
        weights_of(state, plant)
    with pytest.raises(PlantedError, match=r"its to_params\(\) or state_dict\(\)"):
        weights_of(3, plant)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_pickle_of_torch_is_refused_with_what_to_do(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    torch.save(model().module.state_dict(), path)
    with pytest.raises(PlantedError) as caught:
        weights_of(path, model().plant)
    message = str(caught.value)
    assert "save_file(module.state_dict(), 'model.safetensors')" in message
    assert "torch.load(" in message
    assert "Remove" not in message
    assert path.exists()


def test_without_scipy_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(PlantedError, match=r"'scipy' is needed to evaluate.*planted\[train\]"):
        evaluate(model("tempered").plant.params, NAME)


def test_layout_is_its_own_inverse() -> None:
    plant = model("tempered").plant
    state = {layout.torch_name(n): layout.to_torch(n, v) for n, v in plant.params.items()}
    assert layout.is_state_dict(state)
    assert not layout.is_state_dict(plant.params)
    back = layout.from_state_dict(state, plant.params)
    for name, value in plant.params.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    module = PlantedTransformer.from_params(plant.params, plant.spec)
    assert set(state) == set(module.state_dict())


def test_a_plant_that_was_pickled_by_another_process_opens(tmp_path: Path) -> None:
    import subprocess

    path = tmp_path / "plant.pickle"
    path.write_bytes(pickle.dumps(model().plant))
    code = (
        "import pickle, sys\n"
        "plant = pickle.load(open(sys.argv[1], 'rb'))\n"
        "import numpy as np\n"
        "print(plant.name, plant.scenario.draw(np.random.default_rng(0), 2).tolist())\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout
    drawn = model().scenario.draw(np.random.default_rng(0), 2).tolist()
    assert out.strip() == f"red-doors-small@1 {drawn}"
    assert isinstance(model().plant, Plant)
