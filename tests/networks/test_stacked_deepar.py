"""DeepAR at stacked weights gives what the network gives at each of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.forecasting.draw_cases import deepar, fields, random_weights
from tsbnn.forecasting.prediction.draws import under_all_names
from tsbnn.inference import weights_at
from tsbnn.inference.stacked import stacked_parameters
from tsbnn.networks import DeepAR, sample_paths, stacked_deepar
from tsbnn.networks.stacked_deepar import StackedDeepAR

CASES = {
    "plain": {},
    "one layer": {"num_layers": 1},
    "three layers, one unit": {"num_layers": 3, "hidden_size": 1},
    "categories": {"num_feat_static_cat": 2, "cardinality": [3, 5], "embedding_dimension": [2, 3]},
    "statics": {"num_feat_static_real": 2, "num_feat_dynamic_real": 3},
    "standardised": {"scaling": "std", "num_past_feat_dynamic_real": 2},
    "one time": {"context_length": 1},
}


def stacked(network: DeepAR, weights: Tensor) -> StackedDeepAR:
    parameters = stacked_parameters(network, weights)
    return StackedDeepAR(network, under_all_names(network, parameters))


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_at_each_draw(case) -> None:
    network = deepar(**CASES[case])
    weights = random_weights(network, 3)
    inputs = fields(network)
    static_cat = inputs.get("feat_static_cat")
    tokens = network.features(inputs).values
    context, step = tokens[:, : network.context_length], tokens[:, -1:]
    evaluator = stacked(network, weights)
    with torch.no_grad():
        hidden, state = evaluator.encode(context, static_cat)
        many = step.expand(3, -1, 4, -1).clone()
        advanced, state = evaluator.advance(many, static_cat, evaluator.branch(state, 4))
        # The state works in place: what was given back is that of the last step.
        first = advanced.clone()
        again, _ = evaluator.advance(many, static_cat, state)
        arguments = evaluator.param_proj(again)
        for draw, row in enumerate(weights):
            with weights_at(network, row):
                alone, before = network.encode(context, static_cat)
                torch.testing.assert_close(hidden[draw], alone, rtol=1e-5, atol=1e-6)
                before = network.branch(before, 4)
                for expected in (first, again):
                    alone, before = network.advance(step.expand(-1, 4, -1), static_cat, before)
                    torch.testing.assert_close(expected[draw], alone, rtol=1e-5, atol=1e-6)
                for mine, theirs in zip(arguments, network.param_proj(alone), strict=True):
                    torch.testing.assert_close(mine[draw], theirs, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(first, again)


def test_the_context_is_read_in_parts_that_fit_the_cache(monkeypatch) -> None:
    network = deepar()
    weights = random_weights(network, 5)
    evaluator, inputs = stacked(network, weights), fields(network)
    torch.manual_seed(0)
    whole = sample_paths(network, evaluator, inputs, 2)
    one_draw = 3 * network.context_length * 4 * network.rnn.hidden_size * 4
    for size in (1, one_draw, 2 * one_draw):
        monkeypatch.setattr(stacked_deepar, "CACHE_BYTES", size)
        torch.manual_seed(0)
        torch.testing.assert_close(sample_paths(network, evaluator, inputs, 2), whole)


def test_frozen_and_tied_parameters() -> None:
    network = deepar(num_layers=3)
    network.rnn.weight_hh_l1.requires_grad_(False)
    network.rnn.weight_hh_l2 = network.rnn.weight_hh_l0
    weights = random_weights(network, 2)
    evaluator, inputs = stacked(network, weights), fields(network)
    tokens = network.features(inputs).values
    with torch.no_grad():
        hidden, _ = evaluator.encode(tokens, None)
        for draw, row in enumerate(weights):
            with weights_at(network, row):
                alone, _ = network.encode(tokens, None)
            torch.testing.assert_close(hidden[draw], alone, rtol=1e-5, atol=1e-6)
