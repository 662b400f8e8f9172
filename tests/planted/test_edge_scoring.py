"""planted.score(task="edges"): figures of known methods, the nulls, the twin, MIB's files."""

import functools
import json

import numpy as np
import pytest

import planted
from planted.adapters import mib
from planted.core.circuit import links
from planted.errors import ArtefactError, MethodError, PlantedError
from planted.eval.methods import edges, measure
from planted.library import get
from planted.network.model import Network

SMALL = "red-doors-small@1"
LITTLE = {
    "task": "edges", "runtime": "numpy", "models": SMALL, "tiers": ("exact",), "n_pairs": 8,
    "n_redraws": 2, "n_reinits": 2,
}  # fmt: skip


@functools.cache
def positives():
    plant = get(SMALL)
    return [link for link, there in zip(edges.links_in(plant), edges.in_circuit(plant, "resample"),
                                        strict=True) if there]  # fmt: skip


def truth(module, base, source):
    """Knows the plant's circuit by heart, whatever the network."""
    return dict.fromkeys(positives(), 1.0)


def negative(module, base, source):
    return {f"{w} -> {r}": -1.0 for w, r in positives()}


@functools.cache
def scored(method, **more):
    return planted.score(method, **{**LITTLE, **more})


def figures(table, tier="mean"):
    return {row["metric"]: row for row in table.rows if row["tier"] == tier}


def test_the_circuit_itself_scores_one_and_the_twin_gives_its_knowledge_away():
    found = figures(scored(truth))
    assert [found[name]["yours"] for name in found] == [1, 1, 1, 1]
    # it says the same of the twin, which has another circuit: that is what fools means here
    assert found["auroc"]["twin"] == 1 > found["auroc"]["power"]
    (failure,) = scored(truth).failures()
    assert failure.kind == "twin"
    assert "which it does not have" in failure.reason


def test_a_sign_is_no_mistake_and_both_are_printed():
    found = figures(scored(negative))
    assert found["auroc"]["yours"] == 0
    assert found["auroc_absolute"]["yours"] == found["precision_absolute"]["yours"] == 1
    text = str(scored(negative))
    assert "AUROC |score|" in text
    assert f"precision at {len(positives())} |score|" in text


def test_a_constant_scores_a_half():
    def constant(module, base, source):
        return dict.fromkeys(links(module.components), 3.0)

    assert figures(scored(constant))["auroc"]["yours"] == 0.5


@pytest.mark.slow
def test_exact_patching_of_edges_finds_the_circuit_in_every_basis():
    table = scored("exact-edge-patching", tiers=("exact", "rotated"), n_pairs=32)
    for tier in ("exact", "rotated"):
        assert figures(table, tier)["auroc"]["yours"] > 0.99
    found = figures(table)["auroc"]
    assert found["yours_lo"] > max(
        found["re_init_hi"], found["matched_rank_hi"], found["random_hi"]
    )
    assert abs(found["twin"] - found["power"]) < 0.1  # on the twin it finds the twin's circuit
    assert not [f for f in table.failures() if f.kind == "twin"]


def test_the_intervention_decides_what_is_true():
    sizes = {kind: int(edges.in_circuit(get(SMALL), kind).sum()) for kind in ("data-flow", "mean")}
    assert sizes["data-flow"] > len(positives())
    table = scored(truth, intervention="data-flow")
    assert table.cells[0].truth.sum() == sizes["data-flow"]
    assert figures(table)["auroc"]["yours"] < 1


def test_pairs_differ_in_what_the_plant_chooses():
    plant = get("red-doors-base@1")  # makes the base objective's choices
    pairs = edges.pairs_of(plant, 40, 0)
    one, other = (plant.expected_choices(side) for side in pairs)
    assert (one != other).all()
    assert (plant.scenario.mesa.of(pairs.tokens).argmax(1) != one).any()


def test_logits_have_one_scale_in_every_network():
    """A method that returns raw logits is not credited with the scale of the network's."""
    plant = get(SMALL)
    pairs = edges.pairs_of(plant, 16, 0)
    louder = {k: v * (7.0 if k == "unembed.W_U" else 1.0) for k, v in plant.params.items()}
    seen = []
    for params in (plant.params, louder):
        spec = measure.normalised(params, plant.spec, pairs)
        seen.append(Network(params, spec)(pairs.tokens))
        other = Network(params, spec)(pairs.counterfactual)
        assert np.abs(other - seen[-1]).sum(axis=1).mean() == pytest.approx(2, rel=1e-5)
    np.testing.assert_allclose(*seen, atol=1e-5)
    silent = {**plant.params, "unembed.W_U": np.zeros_like(plant.params["unembed.W_U"])}
    assert measure.normalised(silent, plant.spec, pairs) == plant.spec


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([1, 2], "not a dict from"),
        ({("blocks.0.hook_mlp_out", "blocks.0.hook_mlp_in"): 1.0}, "there is no such link"),
        ({"blocks.0.hook_mlp_out": 1.0}, "there is no such link"),
        ({("hook_embed", "logits"): float("nan")}, "finite numbers"),
        ({("hook_embed", "logits"): "much"}, "finite numbers"),
    ],
)
def test_what_is_no_score_of_a_link_is_refused(returned, message):
    with pytest.raises(MethodError, match=message):
        planted.score(lambda *_: returned, **LITTLE)


def test_an_unknown_task_or_intervention_is_named():
    with pytest.raises(PlantedError, match="edges"):
        planted.score(truth, task="edge")
    with pytest.raises(PlantedError, match="resample"):
        planted.score(truth, **{**LITTLE, "intervention": "resampling"})
    with pytest.raises(PlantedError, match="exact-edge-patching"):
        planted.score("exact-patching", **LITTLE)


class TestMib:
    def test_what_is_written_is_read(self, tmp_path):
        model = planted.load("red-doors@1")
        known = links(model.network.components)
        rng = np.random.default_rng(0)
        scores = {link: float(rng.normal()) for link in known if link[0] not in ("hook_pos_embed",)}
        circuit = set(model.circuit("resample"))
        mib.write(tmp_path / "it.json", model.network, scores, circuit)
        got, inside = mib.read(tmp_path / "it.json", model.network)
        assert inside >= circuit
        assert inside - circuit <= {("hook_pos_embed", r) for _, r in known}
        for link, score in scores.items():
            assert got[link] == pytest.approx(score)

    def test_the_names_are_theirs(self, tmp_path):
        model = planted.load("red-doors-small-table@1")
        mib.write(tmp_path / "it.json", model.network, {}, model.circuit())
        found = json.loads((tmp_path / "it.json").read_text())
        assert found["cfg"] == {
            "n_layers": 6, "n_heads": 3, "parallel_attn_mlp": False, "d_model": 116,
        }  # fmt: skip
        # as Graph.from_model of EAP-IG names the edges of such a network
        heads = [3, 1, 0, 1, 0, 1]
        assert [sum(f"a{i}.h{h}" in found["nodes"] for h in range(9)) for i in range(6)] == heads
        wanted, stream = set(), ["input"]
        for layer, n in enumerate(heads):
            mine = [f"a{layer}.h{h}" for h in range(n)]
            wanted |= {f"{w}->{h}<{x}>" for w in stream for h in mine for x in "qkv"}
            stream += mine
            wanted |= {f"{w}->m{layer}" for w in stream}
            stream.append(f"m{layer}")
        assert set(found["edges"]) == wanted | {f"{w}->logits" for w in stream}
        assert found["edges"]["a0.h1->m0"]["in_graph"]
        assert not found["edges"]["a0.h1->m1"]["in_graph"]

    @pytest.mark.parametrize(
        ("content", "error", "message"),
        [
            ("{", ArtefactError, "not readable JSON"),
            ("[]", PlantedError, "has no 'edges'"),
            ('{"edges": {"m0->m1": 3}}', PlantedError, "not its score"),
            ('{"edges": {"m0->m99": {"score": 1}}}', PlantedError, "none of this network's"),
            ('{"edges": {"m0->m1": {"score": "x"}}}', PlantedError, "no finite number"),
        ],
    )
    def test_another_file_is_refused(self, content, error, message, tmp_path):
        (tmp_path / "it.json").write_text(content)
        with pytest.raises(error, match=message):
            mib.read(tmp_path / "it.json", planted.load("red-doors@1").network)


class TestSelfTest:
    def test_what_finds_the_truth_passes(self):
        found = planted.selftest("linear-probe", model="red-doors@1", runtime="numpy")
        assert found.passed
        assert found.failed == ()
        assert str(found).endswith("linear-probe: passed")

    def test_what_knows_nothing_fails_and_says_why(self):
        def size(module, tokens, counterfactual):
            return dict.fromkeys(module.components, 1.0)

        found = planted.selftest(size, model="red-doors@1", runtime="numpy")
        assert not found
        assert any("is not above that of random" in each for each in found.failed)

    def test_what_draws_without_a_seed_fails(self):
        rng = np.random.default_rng()

        def noisy(module, tokens, counterfactual):
            return {name: float(rng.random()) for name in module.components}

        found = planted.selftest(noisy, model="red-doors@1", runtime="numpy")
        assert any("seed what it draws" in each for each in found.failed)

    def test_the_command_has_an_exit_code(self):
        from click.testing import CliRunner

        from planted.cli.app import main

        run = CliRunner().invoke
        good = run(main, ["selftest", "linear-probe", "--model", "red-doors@1"])
        assert (good.exit_code, good.stdout.splitlines()[-1]) == (0, "linear-probe: passed")
        bad = run(main, ["selftest", "exact-patching", "--model", "red-doors@1"])
        assert bad.exit_code == 1
        assert "- On red-doors@1 (exact) its AUROC" in bad.stdout
        assert run(main, ["selftest", "exact-ptching"]).exit_code == 2
