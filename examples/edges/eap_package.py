"""EAP and EAP-IG as their authors' package computes them, on a planted circuit.

    pip install 'eap @ git+https://github.com/hannamw/EAP-IG@795f5607b25638935aec89aee3c1cb4bd9ed72f1'
    pip install 'transformer-lens<4'
    planted score examples.edges.eap_package:eap --task edges --model red-doors-small

The package (read at commit 795f560) works on a HookedTransformer. `Hooked` is as much of one as it
asks for, over a planted module: hooks on the outputs of components, and gradients at the inputs of
heads and MLPs. Its graph has one input and equally many heads in every block; heads that a block
lacks write nothing here.
"""

import contextlib
from types import SimpleNamespace
from unittest import mock

import torch
from eap import attribute
from eap.graph import Graph

from planted.adapters import mib
from planted.core.circuit import links


def eap(module, base, source):
    """The package's `get_scores_eap`."""
    return scores(module, base, source, attribute.get_scores_eap)


def eap_ig(module, base, source):
    """The package's `get_scores_eap_ig`, five steps."""
    return scores(
        module, base, source, lambda *given, quiet: attribute.get_scores_eap_ig(*given, 5, quiet)
    )


def scores(module, base, source, method):
    """The package's scores under the names of links: (writer, reader) -> score."""
    with torch.no_grad():
        answer, wrong = (module(tokens).argmax(dim=-1) for tokens in (base, source))
    rows = torch.arange(len(base))

    def metric(logits, clean_logits, lengths, label):
        return (logits[rows, answer] - logits[rows, wrong]).sum()

    model = Hooked(module)
    graph = Graph.from_model(dict(model.cfg.graph))
    with on_this_device():
        found = method(model, graph, [(base, source, None)], metric, quiet=True)
    if found is not None:
        graph.scores[:] = found
    return {
        link: graph.edges[name].score.item()
        for link in links(module.components)
        if (name := mib.edge_of(link)) in graph.edges and link[0] != "hook_pos_embed"
    }


@contextlib.contextmanager
def on_this_device():
    """The package makes its scores on "cuda", and its tokens from texts."""
    zeros = torch.zeros

    def near(*size, device=None, **how):
        return zeros(*size, device=None if device == "cuda" else device, **how)

    def tokenised(model, tokens):
        mask = torch.ones_like(tokens)
        return tokens, mask, mask.sum(1), tokens.shape[1]

    with (
        mock.patch.object(torch, "zeros", near),
        mock.patch.object(attribute, "tokenize_plus", tokenised),
    ):
        yield


class Hooked:
    """A planted module with the hooks that the package sets."""

    def __init__(self, module):
        self.module = module
        self.params = {name: torch.from_numpy(v) for name, v in module.to_params().items()}
        width = self.params["embed.W_E"].shape[1]
        weights = [self.params[f"blocks.{i}.attn.W_Q"] for i in range(module.n_layers)]
        heads = [len(weight) for weight in weights]
        # the package drops the axis of heads where there is one head, and then fails
        self.cfg = SimpleNamespace(
            n_layers=module.n_layers, n_heads=max(2, *heads), d_model=width,
            parallel_attn_mlp=False, device="cpu", dtype=torch.float32,
            use_normalization_before_and_after=False,
        )  # fmt: skip
        names = ("n_layers", "n_heads", "parallel_attn_mlp", "d_model")
        self.cfg.graph = {name: getattr(self.cfg, name) for name in names}
        self._forward, self._backward = [], []

    @contextlib.contextmanager
    def hooks(self, fwd_hooks=(), bwd_hooks=()):
        """Sets hooks, (name, function(value, hook)), for the time being."""
        before = self._forward, self._backward
        self._forward, self._backward = [*before[0], *fwd_hooks], [*before[1], *bwd_hooks]
        try:
            yield self
        finally:
            self._forward, self._backward = before

    def __call__(self, tokens, attention_mask=None):
        """Logits at the read-out."""
        hooks = {}
        for name, function in self._forward:
            hooks.setdefault(name, []).append(self._sees(name, function))
        for name, function in self._backward:
            site = name.replace(".hook_", ".attn.hook_").removesuffix("_input")
            site = site if name.endswith("_input") else name
            hooks.setdefault(site, []).append(self._gradient(name, site, function))
        return self.module.run_with_hooks(tokens, {k: in_turn(v) for k, v in hooks.items()})

    def _sees(self, name, function):
        def hook(value):
            padded = self._padded(value) if name.endswith("hook_result") else value
            new = function(padded, SimpleNamespace(name=name))
            return value if new is None else new

        return hook

    def _gradient(self, name, site, function):
        def hook(value):
            if value.requires_grad:
                value.register_hook(taken)
            return value

        def taken(gradient):
            if name.endswith("_input"):  # of a head's q, k or v: back through its matrix
                weight = self.params[f"{site.rpartition('.hook_')[0]}.W_{site[-1].upper()}"]
                gradient = self._padded(torch.einsum("nphk,hdk->nphd", gradient, weight))
            function(gradient, SimpleNamespace(name=name))

        return hook

    def _padded(self, value):
        """Heads that a block lacks: zeros."""
        n, positions, heads, width = value.shape
        rest = value.new_zeros(n, positions, self.cfg.n_heads - heads, width)
        return torch.cat([value, rest], dim=2)


def in_turn(hooks):
    """One hook of several."""

    def hook(value):
        for each in hooks:
            value = each(value)
        return value

    return hook
