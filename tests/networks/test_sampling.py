"""Ancestral sampling: seeds, draws in a loop or batched, signs, what is computed once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gluonts.torch.distributions import NegativeBinomialOutput, NormalOutput, StudentTOutput
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from tests.networks.gluonts_pairs import inputs, pair, windows
from tsbnn.networks import DeepAR, sample_paths


class Loop:
    """Several networks, one after another; everything with draws in front."""

    def __init__(self, members: list[DeepAR]) -> None:
        self.members = members

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        outputs = [member.encode(tokens, static_cat) for member in self.members]
        return torch.stack([hidden for hidden, _ in outputs]), [state for _, state in outputs]

    def branch(self, state: Any, num_paths: int) -> Any:
        return [m.branch(s, num_paths) for m, s in zip(self.members, state, strict=True)]

    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        outputs = [
            member.advance(token, static_cat, one)
            for member, token, one in zip(self.members, tokens, state, strict=True)
        ]
        return torch.stack([hidden for hidden, _ in outputs]), [state for _, state in outputs]

    def param_proj(self, hidden: Tensor) -> list[Tensor]:
        outputs = [m.param_proj(h) for m, h in zip(self.members, hidden, strict=True)]
        return [torch.stack(parts) for parts in zip(*outputs, strict=True)]


class Batched:
    """Several networks at once, by ``torch.func.vmap`` over their stacked weights."""

    def __init__(self, members: list[DeepAR]) -> None:
        self.skeleton = members[0]
        self.skeleton.rnn.fused = False
        self.weights, _ = stack_module_state(members)

    def run(self, name: str, *args: Any, batched: tuple[int | None, ...]) -> Any:
        class Method(torch.nn.Module):
            def __init__(self, network: DeepAR) -> None:
                super().__init__()
                self.network = network

            def forward(self, *args: Any) -> Any:
                return getattr(self.network, name)(*args)

        method = Method(self.skeleton)
        weights = {f"network.{key}": value for key, value in self.weights.items()}
        return vmap(lambda w, *a: functional_call(method, w, a), in_dims=(0, *batched))(
            weights, *args
        )

    def encode(self, tokens: Tensor, static_cat: Tensor | None) -> tuple[Tensor, Any]:
        result: tuple[Tensor, Any] = self.run("encode", tokens, static_cat, batched=(None, None))
        return result

    def branch(self, state: Any, num_paths: int) -> Any:
        return vmap(lambda one: self.skeleton.branch(one, num_paths))(state)

    def advance(self, tokens: Tensor, static_cat: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        result: tuple[Tensor, Any] = self.run(
            "advance", tokens, static_cat, state, batched=(0, None, 0)
        )
        return result

    def param_proj(self, hidden: Tensor) -> tuple[Tensor, ...]:
        result: tuple[Tensor, ...] = self.run("param_proj", hidden, batched=(0,))
        return result


def members(count: int = 3, **settings: Any) -> list[DeepAR]:
    return [pair(seed, **settings)[1] for seed in range(count)]


@pytest.mark.parametrize("head", [StudentTOutput, NormalOutput, NegativeBinomialOutput])
def test_draws_in_a_loop_and_batched_give_the_same_paths(head: Any) -> None:
    networks = members(distr_output=head())
    fields = inputs(windows(networks[0], gaps=0.1))
    found = []
    for evaluator in (Loop(networks), Batched(networks)):
        torch.manual_seed(0)
        found.append(sample_paths(networks[0], evaluator, fields, 5))
    assert found[0].shape == (3, 4, 5, 4)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)
    assert len(torch.unique(found[0])) > 20


def test_each_method_batched_over_weights_equals_the_loop() -> None:
    networks = members()
    fields = windows(networks[0])
    tokens, _, _ = networks[0].features(fields, fields["future_target"])
    static_cat = fields["feat_static_cat"]
    paths = torch.randn(3, 4, 5, tokens.shape[-1])
    found = []
    for evaluator in (Loop(networks), Batched(networks)):
        hidden, state = evaluator.encode(tokens, static_cat)
        after, _ = evaluator.advance(paths, static_cat, evaluator.branch(state, 5))
        found.append((hidden, after, *evaluator.param_proj(after)))
    assert found[0][1].shape == (3, 4, 5, 7)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)


def test_losses_of_several_draws_have_their_dimension_in_front() -> None:
    networks = members()
    fields = windows(networks[0], gaps=0.2)
    for evaluator in (Loop(networks), Batched(networks)):
        losses = networks[0].point_losses(evaluator=evaluator, **fields)
        for network, nll in zip(networks, losses.nll, strict=True):
            expected = network.point_losses(**fields)
            torch.testing.assert_close(nll, expected.nll, rtol=1e-5, atol=1e-5)
            assert torch.equal(losses.observed, expected.observed)


def test_a_seed_gives_its_paths_again() -> None:
    _, ours = pair()
    fields = inputs(windows(ours))
    torch.manual_seed(1)
    first, other = ours(**fields, num_parallel_samples=7), ours(**fields, num_parallel_samples=7)
    torch.manual_seed(1)
    again = ours(**fields, num_parallel_samples=7)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not first.requires_grad


@pytest.mark.parametrize("horizon", [1, 4])
def test_samples_below_zero_are_given_back_as_zero(horizon: int) -> None:
    """Paths go on from what was sampled, so that everything above 0 stays as it is."""
    settings = {"prediction_length": horizon}
    _, ours = pair(**settings)
    _, positive = pair(**settings, nonnegative_pred_samples=True)
    fields = inputs(windows(ours))
    found = []
    for network in (ours, positive):
        torch.manual_seed(1)
        found.append(network(**fields, num_parallel_samples=50))
    assert (found[0] < 0).any()
    assert torch.equal(found[1], found[0].clamp(min=0.0))


def test_the_number_of_paths_is_the_networks_unless_said() -> None:
    _, ours = pair(num_parallel_samples=6)
    fields = inputs(windows(ours))
    assert ours(**fields).shape == (4, 6, 4)
    assert ours(**fields, num_parallel_samples=2).shape == (4, 2, 4)
    with pytest.raises(ValueError, match="num_parallel_samples=0"):
        ours(**fields, num_parallel_samples=0)
