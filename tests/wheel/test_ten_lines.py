import pytest
import torch


@pytest.mark.planted(kind="deceptive", max_params=30_000, runtime="torch")
def test_zeroing_the_score(planted_model):
    node, tokens = planted_model.truth.nodes["score"], planted_model.inputs(16)
    basis, module = torch.from_numpy(node.basis), planted_model.module
    hooks = {node.held_at: lambda x: x - (x @ basis.T) @ basis}
    wanted = torch.from_numpy(planted_model.effect("score", "zero", tokens))
    torch.testing.assert_close(module.run_with_hooks(tokens, hooks), wanted, atol=1e-4, rtol=1e-4)
