"""What a light install can do: it holds neither jax nor Tracr, and is not the source tree.

`make wheel` runs this file against the built wheel, from another folder, twice: with numpy alone
and with torch beside it (PLANTED_WHEEL is "numpy" or "torch" there).
"""

import importlib.util
import json
import os
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import planted
from planted.errors import PlantedError

WHEEL = os.environ.get("PLANTED_WHEEL")
light = pytest.mark.skipif(not WHEEL, reason="make wheel runs it against the built wheel")
needs_torch = [
    pytest.mark.torch,
    pytest.mark.skipif(
        WHEEL != "torch" and importlib.util.find_spec("torch") is None,
        reason="torch is not installed",
    ),
]
TIERS = ("exact", "tempered", "rotated")
NAMES = ("red-doors@1", "red-doors-aligned@1", "red-doors-small@1", "red-doors-small-table@1")


@light
def test_this_is_the_wheel_and_nothing_heavy_is_there():
    assert "site-packages" in Path(planted.__file__).parts
    assert (importlib.util.find_spec("torch") is not None) == (WHEEL == "torch")
    for module in ("jax", "haiku", "optax", "tracr", "sklearn", "matplotlib"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(module)


@light
def test_the_wheel_brings_its_licence_and_its_types():
    files = {str(path) for path in metadata.files("planted") or ()}
    outside = {"planted", f"planted-{planted.__version__}.dist-info", ".."}
    assert {name.partition("/")[0] for name in files} == outside
    assert any(name.endswith("licenses/LICENSE") for name in files)
    assert "planted/py.typed" in files


@light
def test_the_command_is_installed():
    command = Path(sys.executable).with_name("planted")
    done = subprocess.run([command, "list"], capture_output=True, text=True, check=True)
    assert "red-doors-small-table" in done.stdout


def test_every_shipped_file_loads_and_answers_right():
    found = {path.name for path in resources.files("planted.models").iterdir()}
    index = json.loads(resources.files("planted.models").joinpath("index.json").read_text())
    assert len({row["name"] for row in index.values()}) >= 24
    assert {f"{name}-{tier}" for name in NAMES for tier in TIERS} <= set(index)
    for stem, row in index.items():
        assert {f"{stem}.json", f"{stem}.safetensors.gz"} <= found
        model = planted.load(row["name"], row["tier"])
        tokens = model.inputs(n=64, seed=0)
        assert tokens.dtype == np.int64
        assert (model.choices(tokens) == model.plant.expected_choices(tokens)).all()


def test_nothing_of_jax_or_scipy_is_asked_for():
    wanted = [Requirement(each) for each in metadata.requires("planted") or ()]
    plain = {r.name for r in wanted if r.marker is None}
    torch = {r.name for r in wanted if r.marker and r.marker.evaluate({"extra": "torch"})}
    assert torch == {"torch"}
    assert not plain & {"jax", "jaxlib", "scipy", "dm-haiku", "optax", "tracr-pypi", "torch"}
    assert {"numpy", "safetensors"} <= plain


def cpu_ms(code, setup="pass"):
    """Milliseconds of processor time that `code` takes in a new process, the least of three."""
    script = (
        f"import time\n{setup}\na = time.process_time()\n{code}\nprint(time.process_time() - a)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(1000 * float(run.stdout) for run in runs)


@light
def test_importing_and_loading_take_milliseconds():
    load = "planted.load('red-doors@1')"
    assert cpu_ms("import planted") < 150
    assert cpu_ms(load, f"import planted; {load}") < 20
    assert cpu_ms("planted.load('steering.small')", f"import planted; {load}") < 20


@light
@pytest.mark.skipif(WHEEL != "torch", reason="where torch is installed")
def test_a_module_takes_milliseconds():
    setup = "import planted; planted.load('red-doors-small').module; m = planted.load('red-doors')"
    assert cpu_ms("m.module", setup) < 50


@light
def test_what_needs_more_than_the_extra_names_its_pip_line():
    with pytest.raises(PlantedError, match=r"'scipy' is needed .* pip install 'planted\[train\]'"):
        planted.evaluate(planted.load("red-doors", "tempered").plant.params, "red-doors")
    assert planted.selftest("linear-probe", model="red-doors@1", runtime="numpy")


def test_a_node_holds_what_it_must_and_intervening_moves_the_answer():
    model = planted.load("red-doors@1")
    tokens = model.inputs(n=64, seed=1)
    score = model.expected("score", tokens)
    np.testing.assert_array_equal(score[:, 1:5], model.scenario.mesa.of(tokens))
    node = model.truth.nodes["score"]
    assert node.hook_points == ("blocks.0.hook_mlp_out",)
    _, cache = model.run_with_cache(tokens, [node.held_at])
    np.testing.assert_allclose(node.decode(cache[node.held_at])[:, 1:], score[:, 1:])
    other = score[:, [0, 2, 3, 4, 1, 5]]  # each slot takes its neighbour's score
    logits = model.intervene({"score": other}, tokens)
    np.testing.assert_array_equal(logits[:, :4].argmax(axis=1), other[:, 1:5].argmax(axis=1))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", NAMES)
class TestTorch:
    """The nn.Module is the same network as numpy's, at every site."""

    pytestmark = needs_torch

    def test_every_site_agrees(self, name, tier):
        import torch

        one, other = planted.load(name, tier), planted.load(name, tier, runtime="torch")
        tokens = one.inputs(n=48, seed=5)
        given = other.inputs(n=48, seed=5)
        assert given.dtype == torch.int64
        np.testing.assert_array_equal(given.numpy(), tokens)
        logits, cache = one.run_with_cache(tokens)
        with torch.no_grad():
            torch_logits, torch_cache = other.run_with_cache(given)
        close("logits", torch_logits, logits)
        assert list(cache) == list(torch_cache)
        assert len(cache) == 2 + 15 * other.module.n_layers
        if tier != "rotated":  # there float32 itself is no better than 1e-3 at the late sites
            for site, value in cache.items():
                close(site, torch_cache[site], value)

    def test_every_site_agrees_in_double_precision(self, name, tier):
        import torch

        from planted.network.forward import forward

        model = planted.load(name, tier, runtime="torch")
        tokens = model.inputs(n=48, seed=5)
        with torch.no_grad():
            logits, cache = model.module.double().run_with_cache(tokens)
        exact = {name: value.astype(np.float64) for name, value in model.plant.params.items()}
        wanted, points = forward(exact, tokens.numpy(), model.spec, record=list(cache))
        close("logits", logits, wanted)
        for site, value in points.items():
            close(site, cache[site], value)

    def test_interventions_agree(self, name, tier):
        import torch

        from planted.network import interventions

        model = planted.load(name, tier, runtime="torch")
        tokens, source = model.inputs(n=32, seed=6), model.inputs(n=32, seed=7)
        np.testing.assert_array_equal(
            model.expected("output", tokens), planted.load(name, tier).expected("output", tokens)
        )
        changed = 0
        for node in model.truth.nodes.values():
            values = model.expected(node.name, source)
            wanted = model.intervene({node.name: values}, tokens)
            content, held = node.encode(values)
            edit = interventions.overwrite(node.basis, content, held)
            hook = {node.held_at: lambda x, edit=edit: torch.from_numpy(edit(x.numpy()))}
            with torch.no_grad():
                got = model.module.run_with_hooks(tokens, hook)
            close(node.name, got, wanted)
            plain, _ = model.run_with_cache(tokens, [])
            changed += not np.allclose(wanted, plain.detach().numpy(), atol=1e-3)
        assert changed > 0

    def test_a_gradient_reaches_every_parameter(self, name, tier):
        model = planted.load(name, tier, runtime="torch")
        tokens = model.inputs(n=8)
        model.module(tokens).square().sum().backward()
        assert all(p.grad is not None for p in model.module.parameters() if p.numel())
        assert model.module.tok_embed.weight.grad.any()


def close(what, got, want, tolerance=1e-5):
    """Equal to `tolerance` times max(1, |value|), number by number."""
    got, want = np.asarray(got.detach()), np.asarray(want)
    assert got.shape == want.shape, what
    error = np.abs(got - want) / np.maximum(1, np.abs(want))
    assert error.max(initial=0) <= tolerance, f"{what}: off by {error.max()}"


@light
@pytest.mark.parametrize(
    ("call", "extra"),
    [
        (lambda: planted.load("red-doors@1", parameters={"levels": 4}), "train"),
        (lambda: planted.load("wiping-mux"), "train"),
        (lambda: planted.plant(lambda place: None, planted.load("red-doors@1").scenario), "train"),
        (lambda: planted.run("red-doors", planted.Recipe("pressure", seeds=1), out="run"), "train"),
    ],
    ids=["load another size", "load what is not shipped", "plant", "run"],
)
def test_a_missing_extra_is_named_with_its_pip_line(call, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    with pytest.raises(PlantedError) as caught:
        call()
    message = str(caught.value)
    assert "is not installed" in message
    assert message.endswith(f"Run: pip install 'planted[{extra}]'")


@pytest.mark.skipif(WHEEL != "numpy", reason="where torch is not installed")
def test_torch_is_named_with_its_pip_line():
    with pytest.raises(PlantedError, match=r"Run: pip install 'planted\[torch\]'"):
        planted.load("red-doors@1", runtime="torch")
    with pytest.raises(PlantedError, match=r"Run: pip install 'planted\[torch\]'"):
        _ = planted.load("red-doors@1").module


@light
def test_the_command_names_the_missing_extra_and_exits_2(tmp_path):
    command = Path(sys.executable).with_name("planted")
    done = subprocess.run(
        [command, "run", "red-doors", "--seeds", "1", "--out", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'planted[train]'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_what_the_evaluators_were_validated_on_is_installed():
    from planted.eval.calibration.trust import trust_of
    from planted.eval.verdict.thresholds import default

    assert trust_of(planted.load("red-doors").plant) == {"paths": "", "presence": ""}
    assert default().label.startswith("families-2 (")


def test_the_controls_that_are_shipped_are_installed():
    from planted.eval.calibration import shipped

    table, why = shipped.find(planted.load("red-doors", tier="tempered").plant)
    assert why == ""
    assert len(table.of("no-plant-base")) >= 8
