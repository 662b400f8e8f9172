"""Edge attribution patching (EAP) and its integrated gradients (EAP-IG), on a planted circuit.

EAP (Syed et al. 2023, arXiv 2310.10348) estimates what patching an edge does to a metric by one
gradient: the change of the writer's output, times the gradient at the reader's input. EAP-IG (Hanna
et al. 2024, arXiv 2403.17806) averages that gradient over inputs between the source and the base.
The metric is the logit difference between the network's answers on the two tasks of a pair.

    planted score examples.edges.attribution:eap --task edges

Read from the repository's root. A score is signed: negative where the edge, patched, would move the
answer towards the source.
"""

import torch

from planted.core.circuit import links


def eap(module, base, source):
    """EAP: {(writer, reader): estimated change of the metric}, signed."""
    return attribution(module, base, source, steps=1)


def eap_ig(module, base, source):
    """EAP-IG over inputs, of five steps."""
    return attribution(module, base, source, steps=5)


def attribution(module, base, source, steps):
    """Sum over positions, mean over pairs, of (source output - base output) · mean gradient."""
    clean, other = outputs(module, base), outputs(module, source)
    answer, wrong = (module(tokens).argmax(dim=-1) for tokens in (base, source))
    total = {}
    for step in range(steps):
        if steps == 1:
            mixed = clean["hook_embed"]
        else:  # on the way from the source's embedding to the base's
            change = clean["hook_embed"] - other["hook_embed"]
            mixed = other["hook_embed"] + step / steps * change
        for reader, gradient in gradients(module, base, mixed, answer, wrong).items():
            total[reader] = total.get(reader, 0) + gradient / steps
    return {
        (writer, reader): ((other[writer] - clean[writer]) * total[reader]).sum().item() / len(base)
        for writer, reader in links(module.components)
    }


def outputs(module, tokens):
    """What every writer writes: name -> [task, pos, d_model]."""
    with torch.no_grad():
        _, cache = module.run_with_cache(tokens)
    found = {name: cache[name] for name in ("hook_embed", "hook_pos_embed")}
    for name in module.components:
        site, _, head = name.rpartition(".")
        found[name] = cache[site][:, :, int(head)] if head.isdigit() else cache[name]
    return found


def gradients(module, tokens, embedded, answer, wrong):
    """The metric's gradient at every reader's input: name -> [task, pos, d_model]."""
    seen = {}

    def keep(name):
        def hook(value):
            seen[name] = value
            return value

        return hook

    parts = ("attn.hook_q", "attn.hook_k", "attn.hook_v", "hook_mlp_in", "hook_resid_post")
    sites = [f"blocks.{layer}.{part}" for layer in range(module.n_layers) for part in parts]
    embedded = embedded.clone().requires_grad_()
    hooks = {"hook_embed": lambda _: embedded, **{name: keep(name) for name in sites}}
    logits = module.run_with_hooks(tokens, hooks)
    rows = torch.arange(len(tokens))
    metric = (logits[rows, answer] - logits[rows, wrong]).sum()
    names = [name for name in sites if seen[name].requires_grad]
    found = dict(zip(names, torch.autograd.grad(metric, [seen[n] for n in names]), strict=True))
    params = module.to_params()
    readers = {}
    for name, gradient in found.items():
        _, layer, place = name.split(".", 2)
        if place == "hook_mlp_in":
            readers[name] = gradient
        elif place.startswith("attn."):
            weight = torch.from_numpy(params[f"blocks.{layer}.attn.W_{place[-1].upper()}"])
            for head in range(len(weight)):
                readers[f"{name}.{head}"] = gradient[:, :, head] @ weight[head].T
    readers["logits"] = found[f"blocks.{module.n_layers - 1}.hook_resid_post"]
    return readers
