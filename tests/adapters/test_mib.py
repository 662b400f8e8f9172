"""MIB's files: written again as they were read, and what makes none is refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted.adapters import mib
from planted.core.circuit import links
from planted.errors import PlantedError


@pytest.fixture(scope="module")
def network() -> Any:
    return planted.load("red-doors@1").network


def test_a_file_is_written_again_as_it_was_read(network: Any, tmp_path: Path) -> None:
    known = links(network.components)
    values = np.random.default_rng(0).normal(size=len(known))
    scores = dict(zip(known, map(float, values), strict=True))
    circuit = set(planted.load("red-doors@1").circuit("data-flow"))
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    mib.write(one, network, scores, circuit)
    mib.write(other, network, *mib.read(one, network))
    assert other.read_bytes() == one.read_bytes()


def test_the_input_is_the_sum_of_two_embeddings(network: Any, tmp_path: Path) -> None:
    ends = [("hook_embed", "blocks.0.hook_mlp_in"), ("hook_pos_embed", "blocks.0.hook_mlp_in")]
    path = tmp_path / "it.json"
    mib.write(path, network, dict(zip(ends, (0.5, 1.5), strict=True)), ends[1:])
    assert json.loads(path.read_text())["edges"]["input->m0"] == {"score": 2.0, "in_graph": True}
    scores, circuit = mib.read(path, network)
    assert [scores[end] for end in ends] == [2.0, 0.0]
    assert circuit == set(ends)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None, "1", True, np.float32("nan")])
def test_a_score_that_is_no_number_is_not_written(network: Any, tmp_path: Path, score: Any) -> None:
    path = tmp_path / "it.json"
    with pytest.raises(PlantedError, match=r"Edge 'm0->logits'.*no finite number"):
        mib.write(path, network, {("blocks.0.hook_mlp_out", "logits"): score})
    assert not path.exists()


def test_numbers_of_numpy_are_written(network: Any, tmp_path: Path) -> None:
    link = ("blocks.0.hook_mlp_out", "logits")
    for score in (np.float32(2), np.int64(2), 2):
        mib.write(tmp_path / "it.json", network, {link: score})
        assert mib.read(tmp_path / "it.json", network)[0][link] == 2


def test_nothing_is_not_written(network: Any, tmp_path: Path) -> None:
    with pytest.raises(PlantedError, match=r"nothing to write.*'m5->logits'"):
        mib.write(tmp_path / "it.json", network, {}, ())
    mib.write(tmp_path / "it.json", network, {}, [("blocks.0.hook_mlp_out", "logits")])


@pytest.mark.parametrize("row", [{}, {"in_graph": True}])
def test_an_edge_without_a_score_is_named(network: Any, tmp_path: Path, row: Any) -> None:
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"edges": {"m0->m1": row}}))
    with pytest.raises(PlantedError, match="edge 'm0->m1' has no score"):
        mib.read(path, network)
    path.write_text('{"edges": {"m0->m1": {"score": null}}}')
    with pytest.raises(PlantedError, match="edge 'm0->m1' has the score None, no finite number"):
        mib.read(path, network)


def test_the_page_installs_the_commit_whose_files_these_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
    (installed,) = re.findall(r"hannamw/EAP-IG@([0-9a-f]{40})'", page)
    (read,) = re.findall(r"EAP-IG, read at commit ([0-9a-f]{7})", str(mib.__doc__))
    assert installed.startswith(read)
