"""The pytest plugin, as a project that uses it sees it: each test runs a small suite."""

import importlib.util
from pathlib import Path

import pytest

# The small suites run in this process, and what they import first would be dropped after each;
# numpy and torch cannot be loaded twice.
for _name in ("numpy", "planted.library", "torch"):
    if importlib.util.find_spec(_name):
        importlib.import_module(_name)

NEEDS_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs a test file, strictly: unknown markers and warnings are errors.

    Of all plugins it loads ours alone, by its entry point: others take seconds a run.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        strict = ("--strict-markers", "-W", "error", "-p", "no:cacheprovider", "-v")
        return pytester.runpytest("-p", "planted", *strict, *arguments)

    return run


def test_without_a_marker_it_is_red_doors_by_numpy(suite):
    result = suite("""
        import numpy as np

        def test_it(planted_model):
            assert (planted_model.name, planted_model.tier) == ("red-doors@1", "exact")
            tokens = planted_model.inputs(n=16, seed=0)
            assert type(tokens) is np.ndarray and tokens.shape == (16, 6)
            logits, cache = planted_model.run_with_cache(tokens)
            slots = planted_model.scenario.mesa.of(tokens).argmax(axis=1)
            assert (logits[:, :4].argmax(axis=1) == slots).all()
            assert cache["blocks.1.mlp.hook_post"].shape[0] == 16
    """)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_it PASSED*"])


def test_a_marker_chooses_plant_and_tier(suite):
    result = suite("""
        import pytest

        @pytest.mark.planted("red-doors@1", tier="rotated")
        def test_it(planted_model):
            assert (planted_model.name, planted_model.tier) == ("red-doors@1", "rotated")
            assert planted_model.runtime == "numpy"
    """)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_it[[]red-doors@1-rotated] PASSED*"])


def test_several_names_tiers_and_markers_give_several_tests(suite):
    result = suite("""
        import pytest

        SEEN = []

        @pytest.mark.planted("red-doors", "red-doors-small", tier=["exact", "tempered"])
        @pytest.mark.planted("red-doors@1")
        @pytest.mark.planted("red-doors-aligned@1", tier="rotated")
        def test_it(planted_model):
            SEEN.append(f"{planted_model.name}-{planted_model.tier}")

        def test_after():
            assert sorted(SEEN) == [
                "red-doors-aligned@1-rotated",
                "red-doors-small@1-exact",
                "red-doors-small@1-tempered",
                "red-doors@1-exact",
                "red-doors@1-tempered",
            ]
    """)
    result.assert_outcomes(passed=6)


def test_workers_of_xdist_share_the_tests_and_one_cache(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    pytest.importorskip("xdist")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    pytester.makepyfile("""
        import os
        import pytest

        @pytest.mark.planted("red-doors", "red-doors-small", tier=["exact", "rotated"])
        @pytest.mark.parametrize("i", range(3))
        def test_it(planted_model, planted_zoo, i):
            assert "PYTEST_XDIST_WORKER" in os.environ
            tokens = planted_model.inputs(n=8, seed=i)
            wanted = planted_model.scenario.mesa.of(tokens).argmax(axis=1)
            assert (planted_model.choices(tokens) == wanted).all()
            assert planted_zoo["red-doors@1-exact"].plant.tier == "exact"
    """)
    options = ("-p", "xdist", "-n", "2", "--strict-markers", "-W", "error", "-q")
    result = pytester.runpytest_subprocess("-p", "planted", *options)
    result.assert_outcomes(passed=12)


def test_a_tests_own_marker_replaces_the_modules(suite):
    result = suite("""
        import pytest

        pytestmark = pytest.mark.planted("red-doors-small@1")

        def test_module(planted_model):
            assert planted_model.name == "red-doors-small@1"

        @pytest.mark.planted("red-doors-aligned@1")
        def test_own(planted_model):
            assert planted_model.name == "red-doors-aligned@1"
    """)
    result.assert_outcomes(passed=2)


def test_filters_choose_from_the_wheel(suite):
    result = suite("""
        import pytest
        from planted.core.saved import shipped_index

        SEEN = set()

        @pytest.mark.planted(kind=["deceptive", "suboptimal"], max_params=25_000)
        def test_it(planted_model):
            SEEN.add(planted_model.name)
            assert planted_model.plant.kind in ("deceptive", "suboptimal")
            assert sum(v.size for v in planted_model.plant.params.values()) <= 25_000

        def test_all_of_them_were_there():
            assert SEEN == {
                row["name"] for row in shipped_index().values()
                if row["kind"] in ("deceptive", "suboptimal") and row["parameters"] <= 25_000
                and row["tier"] == "exact"
            }

        @pytest.mark.planted("red-doors", "red-doors-small", family="red-doors", max_params=30_000,
                             tier=["exact", "rotated"])
        def test_of_those_named(planted_model):
            assert planted_model.name == "red-doors@1"
    """)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 2 + 1 + 2
    assert set(outcomes) == {"passed"}
    result.stdout.fnmatch_lines(["*::test_it[[]schemer.small@1-exact] PASSED*"])
    result.stdout.fnmatch_lines(["*::test_of_those_named[[]red-doors@1-rotated] PASSED*"])


def test_the_option_sets_the_tier_where_the_test_names_none(suite):
    result = suite(
        """
        import pytest

        def test_plain(planted_model):
            assert planted_model.tier == "rotated"

        @pytest.mark.planted("red-doors-small")
        def test_named(planted_model):
            assert planted_model.tier == "rotated"

        @pytest.mark.planted(tier="tempered")
        def test_own(planted_model):
            assert planted_model.tier == "tempered"
        """,
        "--planted-tier=rotated",
    )
    result.assert_outcomes(passed=3)
    result = suite("def test_plain(planted_model): pass", "--planted-tier=rotten")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["Unknown tier 'rotten'. Did you mean 'rotated'*"])


def test_indirect_parametrising_works_too(suite):
    result = suite("""
        import pytest

        @pytest.mark.parametrize("planted_model", ["red-doors-small"], indirect=True)
        def test_it(planted_model):
            assert planted_model.name == "red-doors-small@1"
    """)
    result.assert_outcomes(passed=1)


@pytest.mark.torch
@NEEDS_TORCH
def test_the_runtime_can_be_torch(suite):
    result = suite("""
        import pytest
        import torch

        @pytest.mark.planted(runtime="torch")
        def test_it(planted_model):
            logits, _ = planted_model.run_with_cache(planted_model.inputs(n=4))
            assert isinstance(logits, torch.Tensor)
            with torch.no_grad():
                planted_model.module.head.weight.zero_()

        @pytest.mark.planted(runtime="torch")
        def test_the_next_has_its_own_module(planted_model):
            assert planted_model.module.head.weight.any()
    """)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_it[[]red-doors@1-exact-torch] PASSED*"])


def test_what_a_test_does_to_its_model_no_other_sees(suite):
    result = suite("""
        import pytest

        @pytest.fixture(params=[1, 2])
        def again(request):
            return request.param

        def test_it(planted_model, planted_zoo, again):
            for model in (planted_model, planted_zoo["red-doors@1-exact"]):
                tokens = model.inputs(n=32, seed=again)
                assert (model.choices(tokens) == model.plant.expected_choices(tokens)).all()
                assert model.truth.node("score").basis.any()
                assert model.plant.certificate["mismatches"] == 0
                for value in model.plant.params.values():
                    value[...] = 0
                model.truth.node("score").basis[...] = 0
                model.plant.certificate["mismatches"] = 1
                assert (model.choices(tokens) != model.plant.expected_choices(tokens)).any()
    """)
    result.assert_outcomes(passed=2)


def test_a_plant_is_read_once_a_session(suite):
    result = suite("""
        import pytest
        from planted import library

        READ = []
        real = library.get

        @pytest.fixture(autouse=True)
        def counted(monkeypatch):
            monkeypatch.setattr(library, "get", lambda *a: READ.append(a) or real(*a))

        @pytest.mark.parametrize("i", range(3))
        def test_it(counted, planted_model, planted_zoo, i):
            planted_zoo["red-doors@1-exact"]
            assert READ == [("red-doors@1", "exact")]
    """)
    result.assert_outcomes(passed=3)


def test_the_zoo_holds_every_shipped_file_and_reads_none_before_it_is_asked(suite):
    result = suite("""
        import pytest
        from planted import library

        def test_lazy(planted_zoo, monkeypatch):
            monkeypatch.setattr(library, "get", None)
            files = library.shipped_folder().glob("*.safetensors.gz")
            stems = sorted(p.name.removesuffix(".safetensors.gz") for p in files)
            assert sorted(planted_zoo) == stems and len(planted_zoo) == len(stems) > 0

        def test_models(planted_zoo):
            for key in list(planted_zoo)[::7]:
                model = planted_zoo[key]
                assert key == f"{model.name}-{model.tier}"

        def test_unknown(planted_zoo):
            assert "red-door@1-exact" not in planted_zoo
            with pytest.raises(KeyError, match="Did you mean 'red-doors@1-exact'"):
                planted_zoo["red-door@1-exact"]
    """)
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('"red-dors"', "Unknown plant 'red-dors'. Did you mean 'red-doors'*"),
        ('"red-doors@7"', "'red-doors' has no version '7'; this release has red-doors@1."),
        ("5", "The planted marker takes names of plants, got 5."),
        ('tier="rotate"', "Unknown tier 'rotate'. Did you mean 'rotated'*"),
        ('runtime="nunpy"', "Unknown runtime 'nunpy'. Did you mean 'numpy'*"),
        ('teir="exact"', "The planted marker takes tier, runtime, family, kind, max_params, *"),
        ('family="red-door"', "Unknown family 'red-door'. Did you mean 'red-doors'*"),
        ('kind="deceptiv"', "Unknown kind 'deceptiv'. Did you mean 'deceptive'*"),
        (
            '"red-doors", kind="deceptive"',
            "No model in the wheel named red-doors@1 has kind='deceptive', tier=*exact*. "
            "red-doors@1 has kind 'correlational proxy' and comes in exact, rotated, tempered. "
            "These do: *@1*planted list --shipped",
        ),
        (
            'family="breadth", kind="deceptive"',
            "No model in the wheel has family='breadth', kind='deceptive', tier=*exact*. "
            "breadth has kind '*' and comes in *",
        ),
        ('"crumbs.large", kind="deceptive"', "No model *. crumbs.large@1 is not in the wheel. *"),
        *(
            (
                f"{what}={value}",
                f"{what} in the planted marker is a text or a list of texts, *{got}*",
            )
            for what in ("tier", "runtime", "family", "kind")
            for value, got in (
                ("[]", "got ?]."),
                ("3", "got 3."),
                ("None", "got None."),
                ('["exact", 3]', "got ?'exact', 3]."),
            )
        ),
        ("max_params=None", "max_params is a whole number from 1 on, got None."),
        ("max_params=10", "No model in the wheel has max_params=10, *The smallest of the others*"),
        ("max_params=-1", "max_params is a whole number from 1 on, got -1."),
    ],
)
def test_a_mistake_is_one_line_at_collection(suite, marker, message):
    result = suite(f"""
        import pytest

        @pytest.mark.planted({marker})
        def test_it(planted_model):
            pass
    """)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*::test_it: {message}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_cache_that_cannot_be_written_fails_no_test_where_warnings_are_errors(suite, monkeypatch):
    from planted import library

    exact = library.get("red-doors")
    monkeypatch.setattr(library, "build", lambda *_, **__: {"dense": exact})
    monkeypatch.setenv("PLANTED_CACHE", "/proc/nope")
    result = suite("""
        import pytest
        from planted import library

        @pytest.mark.planted(tier="dense")
        def test_it(planted_model):
            assert planted_model.name == "red-doors@1"

        def test_outside_the_fixture_it_is_said():
            with pytest.warns(library.NotKeptWarning, match="The plant is not kept"):
                library.get("red-doors", "dense")
    """)
    result.assert_outcomes(passed=2)


def test_a_model_that_cannot_be_had_is_one_line(suite):
    result = suite("""
        import pytest
        from planted import library
        from planted.errors import ArtefactError

        def refuse(*arguments):
            raise ArtefactError("here.safetensors is missing.")

        @pytest.fixture(autouse=True)
        def damaged(monkeypatch):
            monkeypatch.setattr(library, "get", refuse)

        def test_it(damaged, planted_model):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["here.safetensors is missing."])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize("loaded", [True, False])
def test_pytest_finds_it_by_itself_and_it_can_be_switched_off(pytester, loaded):
    pytester.makepyfile("def test_it(planted_model): pass")
    result = pytester.runpytest(*(() if loaded else ("-p", "no:planted")))
    result.assert_outcomes(passed=int(loaded), errors=int(not loaded))
    if not loaded:
        result.stdout.fnmatch_lines(["*fixture 'planted_model' not found*"])


def test_the_marker_explains_itself(suite):
    result = suite("", "--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.planted(*names, tier='exact', *, family=*, kind=*, max_params=*):*"]
    )
