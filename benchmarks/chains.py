"""Many chains of one method on one known posterior at once, each on minibatches of its own.

Chains act on every weight by itself, so C blocks of D weights whose losses are added are C
independent chains of a D-dimensional target, at hardly more than the price of one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tests.inference.scenarios import Target, Weights
from tsbnn.inference import BayesianOptimizer, InferenceMethod


def run_chains(
    target: Target, inference: InferenceMethod, num_steps: int, seed: int, chains: int
) -> tuple[Tensor, BayesianOptimizer]:
    """Start all chains at 0; return their kept states ``states x chains x D``."""
    assert target.full is not None
    size = len(target.mean)
    module = Weights(chains * size)
    optimizer = inference.optimizer(
        module,
        num_observations=target.num_observations,
        total_steps=num_steps,
        generator=torch.Generator().manual_seed(1000 + seed),
    )
    source = torch.Generator().manual_seed(2000 + seed)
    each = torch.func.vmap(target.full)

    def losses() -> Tensor:
        weights = module.weights.view(chains, size)
        if target.data is None or target.batch_size is None:
            return each(weights)
        features, labels = target.data
        shape = (chains, target.batch_size)
        rows = torch.randint(len(labels), shape, generator=source)
        return each(weights, features[rows], labels[rows])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = losses().sum()
        loss.backward()
        return loss

    for _ in range(num_steps):
        optimizer.step(closure)
    optimizer.finalize()
    posterior = optimizer.posterior
    states = posterior.sample(posterior.num_atoms).double()
    return states.view(-1, chains, size), optimizer
