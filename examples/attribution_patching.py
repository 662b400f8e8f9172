"""An oracle for TransformerLens's attribution patching (transformer-lens 4.3.0).

The library estimates every node's effect by one gradient. On a planted network two things are known
without it: the estimate itself, from the plain torch module, and the exact effect of putting the
node's clean value into the corrupt run, from the numpy runtime, which has no gradient at all.
"""

import numpy as np
import torch
from transformer_lens.tools.analysis.attribution_patching import attribution_patch

import planted
from planted.adapters.transformer_lens import to_bridge

PLANT, TIER, PAIRS = "red-doors", "tempered", 4


def metric(logits):
    """How much the first candidate is preferred to the second, for one task."""
    return (logits[..., 0] - logits[..., 1]).sum()


def oracle(model, clean, corrupt):
    """node -> (first-order estimate, exact effect), means over pairs; by no library's code."""
    found = {}
    for one, other in zip(clean, corrupt, strict=True):
        one, other = one[None], other[None]
        _, wanted = model.run_with_cache(one)
        logits, values = model.run_with_cache(other)
        sites = [site for site in values if site.endswith(("hook_embed", "hook_z", "mlp_out"))]
        sites = [site for site in sites if "pos_embed" not in site]
        grads = torch.autograd.grad(metric(logits), [values[site] for site in sites])
        before = metric(model.network(other))
        for site, grad in zip(sites, grads, strict=True):
            delta = (wanted[site] - values[site]).detach()
            for place in np.ndindex(delta.shape[1 : 2 + site.endswith("hook_z")]):
                at = (0, *place)
                new = values[site].detach().numpy().copy()
                new[at] = wanted[site].detach().numpy()[at]
                after = metric(model.network.run_with_hooks(other, {site: lambda _, v=new: v}))
                pair = np.array([float((delta * grad)[at].sum()), float(after - before)])
                found[site, *place] = found.get((site, *place), 0) + pair / len(clean)
    return found


def main():
    """The library's estimates beside the oracle's, and how good a first-order estimate is here."""
    model = planted.load(PLANT, TIER, runtime="torch")
    clean, corrupt = model.inputs(PAIRS, seed=1), model.inputs(PAIRS, seed=2)
    theirs = attribution_patch(to_bridge(model), clean, corrupt, metric).node_scores
    ours = oracle(model, clean, corrupt)
    rows = [
        (score, *ours[node.hook_name, node.position, *([] if node.head is None else [node.head])])
        for node, score in theirs.items()
    ]
    library, estimate, exact = np.array(rows).T
    off = np.abs(library - estimate).max()
    print(f"{len(rows)} nodes; the library's estimate and the oracle's differ by {off:.0e} at most")
    moving = np.abs(exact) > 0.01
    agreeing = (np.sign(library) == np.sign(exact))[moving].mean()
    missed = (np.abs(library) < 0.01)[moving].mean()
    print(f"exact effect above .01: {moving.sum()} nodes; same sign {agreeing:.2f}, ", end="")
    print(f"estimated at nothing {missed:.2f}")
    return off, moving.sum(), len(rows)


if __name__ == "__main__":
    main()
