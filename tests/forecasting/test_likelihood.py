"""The likelihood of windows: against a computation point by point, with gaps, for every network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gluonts.dataset.common import ListDataset
from gluonts.torch.distributions import (
    GammaOutput,
    ImplicitQuantileNetworkOutput,
    ISQFOutput,
    NormalOutput,
    PiecewiseLinearOutput,
    QuantileOutput,
    StudentTOutput,
)
from gluonts.transform.sampler import UniformSplitSampler
from torch import nn

from tsbnn.forecasting import BayesianEstimator, window_losses
from tsbnn.forecasting.lightning_module import BayesianLightningModule
from tsbnn.forecasting.likelihood import call_with, check_head, check_network, prepared
from tsbnn.forecasting.observed import count_observed
from tsbnn.forecasting.seeds import generator
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import MAP, FanInPrior
from tsbnn.networks import AutoregressiveNetwork

NETWORKS = [
    "deepar",
    "simple_feedforward",
    "patch_tst",
    "tft",
    "wavenet",
    "tide",
    "d_linear",
    "lag_tst",
    "i_transformer",
    "our_deepar",
    "our_transformer",
    "our_patch_transformer",
]


@pytest.fixture(scope="module")
def gappy() -> ListDataset:
    """Two short series, half of whose values are missing at random."""
    rng = np.random.default_rng(3)
    target = 5 + rng.normal(size=(2, 26))
    target[rng.random(target.shape) < 0.5] = np.nan
    return ListDataset([{"start": "2021-01-01", "target": row} for row in target], freq="h")


@pytest.fixture(scope="module")
def gappy_pair(gappy) -> ListDataset:
    target = np.stack([entry["target"] for entry in gappy])
    return ListDataset([{"start": "2021-01-01", "target": target}], "h", one_dim_target=False)


def windows(name, tiny, data, **arguments):
    """A network in double precision and all windows of the data, in batches of four."""
    every = UniformSplitSampler(p=1.0, min_future=4)
    estimator = tiny(name, validation_sampler=every, **arguments)
    with RandomStream(0).active():
        module = estimator.create_lightning_module()
        transformed = estimator.create_transformation().apply(data, is_train=True)
        batches = list(estimator.create_validation_data_loader(transformed, module))
    network = module.model.double().eval()
    return network, [
        {
            key: value
            for key, value in prepared(batch, network).items()
            if isinstance(value, torch.Tensor)
        }
        for batch in batches
    ]


def by_hand(network, batch):
    """Negative log-likelihood of each target point, and whether it is observed."""
    observed = batch["future_observed_values"]
    if isinstance(network, AutoregressiveNetwork):
        distr_args, loc, scale = network.distribution_args(**batch)
        context = network.past_length - network.context_length + 1
        target = torch.cat([batch["past_target"][:, context:], batch["future_target"]], 1)
        observed = torch.cat([batch["past_observed_values"][:, context:], observed], 1)
        distribution = network.distr_output.distribution(distr_args, loc=loc, scale=scale)
        return -distribution.log_prob(target), observed
    if hasattr(network, "rnn"):
        distr_args, scale, *_ = call_with(network, "unroll_lagged_rnn", batch)
        context = network.context_length - 1
        target = torch.cat([batch["past_target"][:, -context:], batch["future_target"]], 1)
        observed = torch.cat([batch["past_observed_values"][:, -context:], observed], 1)
        distribution = network.distr_output.distribution(distr_args, scale=scale)
        return -distribution.log_prob(target), observed
    if hasattr(network, "base_net"):
        features = call_with(network, "get_full_features", batch)
        target = torch.cat([batch["past_target"], batch["future_target"]], -1).long()
        embedding = network.target_feature_embedding(target[:, :-1], features[..., 1:])
        logits = network.base_net(embedding)[0].log_softmax(-1)
        field = network.receptive_field
        observed = torch.cat([batch["past_observed_values"], observed], -1)[:, field:]
        return -logits.gather(-1, target[:, field:, None])[..., 0], observed
    distr_args, loc, scale = call_with(network, "forward", batch)
    distribution = network.distr_output.distribution(distr_args, loc=loc, scale=scale)
    return -distribution.log_prob(batch["future_target"]), observed


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_are_sums_over_observed_points(name, tiny, gappy, gappy_pair) -> None:
    network, batches = windows(name, tiny, gappy_pair if name == "i_transformer" else gappy)
    counts = []
    for batch in batches:
        losses = window_losses(network, batch)
        points, observed = by_hand(network, batch)
        expected = torch.where(observed == 1, points, 0.0).flatten(1).sum(1)
        torch.testing.assert_close(losses.total, expected)
        torch.testing.assert_close(losses.observed, observed.flatten(1).sum(1))
        assert torch.isfinite(losses.total).all()
        counts += losses.observed.tolist()
    assert len(set(counts)) > 2, "windows with different numbers of gaps"


@pytest.mark.parametrize("name", ["deepar", "simple_feedforward", "wavenet", "our_deepar"])
def test_minibatch_scores_average_to_the_score_of_all_observed_points(name, tiny, gappy) -> None:
    network, batches = windows(name, tiny, gappy, batch_size=3)
    observations = count_observed(gappy).points
    module = BayesianLightningModule(network, MAP(), observations, None, generator(0))
    module.configure_optimizers()
    parameters = [p for p in network.parameters() if p.requires_grad]

    def gradient(loss):
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        pairs = zip(grads, parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])

    for batch in batches:
        module.on_train_batch_start(batch, 0)
        module.training_step(batch, 0)
    # The mean count is known by now: what follows is one more pass with it.
    scores, own_count_scores = [], []
    for batch in batches:
        scores.append(-observations * gradient(module.training_step(batch, 0)))
        losses = window_losses(network, batch)
        own = losses.total.sum() / losses.observed.sum()
        own_count_scores.append(-observations * gradient(own))

    points = [by_hand(network, batch) for batch in batches]
    total = sum(torch.where(seen == 1, nll, 0.0).sum() for nll, seen in points)
    full = -observations * gradient(total / sum(seen.sum() for _, seen in points))
    average = torch.stack(scores).mean(0)
    torch.testing.assert_close(average, full, rtol=1e-5, atol=1e-6 * float(full.abs().max()))
    # Dividing by the batch's own count would not do.
    biased = torch.stack(own_count_scores).mean(0)
    assert (biased - full).norm() > 1e-3 * full.norm()


def test_a_window_without_observations_counts_for_nothing(tiny) -> None:
    target = np.full(30, np.nan)
    target[:3] = 1.0
    data = ListDataset([{"start": "2021-01-01", "target": target}], freq="h")
    network, batches = windows("simple_feedforward", tiny, data)
    last = window_losses(network, batches[-1])
    assert last.observed.sum() == 0
    assert last.total.sum() == 0


def test_padding_is_unobserved_whatever_the_head_pads_with(tiny) -> None:
    target = np.random.default_rng(0).gamma(2.0, size=12)
    data = ListDataset([{"start": "2021-01-01", "target": target}], freq="h")
    network, batches = windows("deepar", tiny, data, distr_output=GammaOutput())
    counts = torch.cat([window_losses(network, batch).observed for batch in batches])
    # The first window ends after 4 points, all to be predicted; from the 8th on, nothing is padded.
    assert counts[0] == 4
    assert counts.max() == 4 + network.context_length - 1
    assert torch.equal(counts, counts.round())


def test_an_unknown_network_says_how_to_register_it() -> None:
    class Mine(nn.Linear):
        pass

    with pytest.raises(TypeError, match=r"Mine is not known.*window_losses\.register"):
        window_losses(Mine(1, 1), {})
    wrapper = nn.Module()
    with pytest.raises(TypeError, match="keeps no torch model"):
        check_network(wrapper)
    wrapper.model = Mine(1, 1)
    with pytest.raises(TypeError, match="Mine is not known"):
        check_network(wrapper)


def test_heads_without_a_likelihood_are_refused(tiny) -> None:
    class Owner:
        def __init__(self, head):
            self.distr_output = head

    for head in (QuantileOutput([0.1, 0.9]), ImplicitQuantileNetworkOutput("Real")):
        with pytest.raises(ValueError, match=r"not a log-likelihood.*distr_output=StudentTOutput"):
            check_head(Owner(head), "TFT")
    # Splines through quantiles, with a CRPS that GluonTS does not train by.
    for head in (ISQFOutput(2, [0.1, 0.5, 0.9]), PiecewiseLinearOutput(5)):
        with pytest.raises(ValueError, match=r"no log_prob.*distr_output=StudentTOutput"):
            check_head(Owner(head), "TFT")
    with pytest.raises(ValueError, match="SimpleFeedForwardEstimator has the head ISQFOutput"):
        BayesianEstimator(tiny("simple_feedforward", distr_output=ISQFOutput(2, [0.1, 0.5, 0.9])))
    with pytest.raises(ValueError, match=r"NormalOutput\(beta=0.5\).*NormalOutput\(\) with beta=0"):
        check_head(Owner(NormalOutput(beta=0.5)), "DeepAR")
    check_head(Owner(StudentTOutput()), "DeepAR")
    check_head(object(), "WaveNet")


def test_the_module_counts_each_batch_once(tiny, gappy) -> None:
    network, batches = windows("simple_feedforward", tiny, gappy)
    module = BayesianLightningModule(network, MAP(prior=FanInPrior()), 26, None, generator(0))
    module.configure_optimizers()
    for batch in batches[:3]:
        module.on_train_batch_start(batch, 0)
        for _ in range(2):
            module.training_step(batch, 0)
    seen = [float(window_losses(network, batch).observed.sum()) for batch in batches[:3]]
    assert float(module.expected_points) == pytest.approx(np.mean(seen))
    assert float(module.batches_seen) == 3
