"""Many weight draws: one by one or all at once give the same paths, for every kind of network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gluonts.dataset.loader import InferenceDataLoader
from gluonts.torch.batchify import batchify
from gluonts.torch.distributions import (
    NegativeBinomialOutput,
    NormalOutput,
    SplicedBinnedParetoOutput,
)
from scipy.stats import ks_2samp
from torch import nn

from tests.forecasting.draw_cases import (
    deepar,
    fields,
    patch_transformer,
    random_weights,
    transformer,
)
from tsbnn.forecasting import BayesianEstimator, Paths, draw_paths, load, save
from tsbnn.forecasting.prediction import draws as draws_module
from tsbnn.forecasting.prediction.draw_evaluators import VmapEvaluator, replica
from tsbnn.forecasting.prediction.drawn_paths import (
    AutoregressivePaths,
    DirectPaths,
    DrawnPaths,
    SeparatePaths,
)
from tsbnn.forecasting.prediction.draws import choose, is_batchable
from tsbnn.forecasting.prediction.paths import check_paths
from tsbnn.inference import weights_at
from tsbnn.inference.stacked import stacked_parameters
from tsbnn.networks import sample_paths

KINDS = {
    "deepar": AutoregressivePaths,
    "simple_feedforward": DirectPaths,
    "patch_tst": DirectPaths,
    "tft": DirectPaths,
    "wavenet": SeparatePaths,
    "tide": DirectPaths,
    "d_linear": DirectPaths,
    "lag_tst": DirectPaths,
    "i_transformer": DirectPaths,
}
LOOP_ONLY = {"tft", "wavenet"}


@pytest.fixture(scope="module")
def untrained(tiny, series, multivariate):
    """A predictor of every network of GluonTS with a wide posterior, after two steps."""
    built = {}

    def predictor(name: str):
        if name not in built:
            data = multivariate if name == "i_transformer" else series
            estimator = tiny(name, num_batches_per_epoch=1)
            built[name] = BayesianEstimator(estimator, num_draws=3, num_samples=7).train(data)
            built[name].posterior.precision.fill_(10.0)
        return built[name], multivariate if name == "i_transformer" else series

    return predictor


@pytest.mark.parametrize("name", KINDS)
def test_both_ways_give_the_same_forecasts(name, untrained) -> None:
    predictor, data = untrained(name)
    assert isinstance(DrawnPaths.of(predictor.prediction_net.network, "auto"), KINDS[name])
    found = {}
    for way in ("loop", "batched", "auto"):
        predictor.draw_evaluation = way
        found[way] = list(predictor.predict(data))
    for one, *others in zip(*found.values(), strict=True):
        # Draws differ by much more than rounding.
        means = [one.draw_samples(draw).mean(axis=0) for draw in range(3)]
        assert np.std(means, axis=0).min() > 1e-3
        size = abs(one.samples).max()
        for other in others:
            np.testing.assert_allclose(one.samples, other.samples, rtol=1e-5, atol=1e-5 * size)
            assert (one.draw_mean is None) == (KINDS[name] is not DirectPaths)
            if one.draw_mean is not None:
                np.testing.assert_allclose(one.draw_mean, other.draw_mean, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_only_the_unbatchable_take_the_loop(name, untrained, monkeypatch) -> None:
    """Found out once: later predictions try nothing."""
    predictor, data = untrained(name)
    predictor.draw_evaluation = "batched"
    list(predictor.predict(data))
    network = predictor.prediction_net.network
    known = draws_module._BATCHABLE.get(network, {"cpu": False})
    assert known == {"cpu": name not in LOOP_ONLY}

    def refuse(*_):
        raise AssertionError("a second trial")

    monkeypatch.setattr(draws_module, "ways_agree", refuse)
    list(predictor.predict(data))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_feat_static_cat": 2, "cardinality": [3, 5], "num_feat_static_real": 1},
        {"scaling": "std", "num_past_feat_dynamic_real": 1, "num_feat_dynamic_real": 2},
        {"distr_output": NormalOutput(), "nonnegative_pred_samples": True},
        {"distr_output": NegativeBinomialOutput()},
        {"prediction_length": 1},
        {"context_length": 1},
    ],
    ids=["plain", "statics", "covariates", "normal", "counts", "one step", "no context"],
)
@pytest.mark.parametrize("build", [deepar, transformer])
def test_our_networks_at_each_draw(build, settings) -> None:
    """Loop, batched, and the network itself at one draw after the other."""
    network = build(**settings)
    weights, inputs = random_weights(network, 3), fields(network)
    found = {}
    for way in ("loop", "batched"):
        torch.manual_seed(5)
        found[way] = DrawnPaths.of(network, way)(weights, inputs, 2).samples
    assert found["loop"].shape == (3, 3, 2, network.prediction_length)
    torch.testing.assert_close(found["batched"], found["loop"], rtol=1e-5, atol=1e-4)
    for draw, row in enumerate(weights):
        torch.manual_seed(5)
        alone = DrawnPaths.of(network, "loop")(weights[[draw]], inputs, 2).samples[0]
        torch.manual_seed(5)
        with weights_at(network, row):
            expected = sample_paths(network, network, inputs, 2)
        torch.testing.assert_close(alone, expected)
    assert draws_module._BATCHABLE[network] == {"cpu": True}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scaling": "std", "num_feat_dynamic_real": 2, "nonnegative_pred_samples": True},
        {
            "distr_output": SplicedBinnedParetoOutput(
                bins_lower_bound=-5.0,
                bins_upper_bound=5.0,
                num_bins=10,
                tail_percentile_gen_pareto=0.05,
            )
        },
    ],
    ids=["plain", "covariates", "no moments"],
)
def test_our_direct_network_at_each_draw(settings) -> None:
    network = patch_transformer(**settings)
    weights, inputs = random_weights(network, 3), fields(network)
    found = {}
    for way in ("loop", "batched"):
        torch.manual_seed(5)
        with torch.no_grad():
            found[way] = DrawnPaths.of(network, way)(weights, inputs, 2)
    assert found["loop"].samples.shape == (3, 3, 2, 4)
    close = {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(found["batched"].samples, found["loop"].samples, **close)
    assert (found["loop"].mean is None) == bool(settings)
    if found["loop"].mean is not None:
        torch.testing.assert_close(found["batched"].mean, found["loop"].mean, **close)
    assert draws_module._BATCHABLE[network] == {"cpu": True}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("build", [deepar, transformer, patch_transformer])
def test_both_ways_on_a_gpu(build, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = build(num_feat_dynamic_real=2)
    inputs = {name: value.cuda() for name, value in fields(network).items()}
    network.cuda()
    weights = random_weights(network, 3).cuda()
    found = {}
    for way in ("loop", "batched"):
        torch.manual_seed(5)
        with torch.no_grad():
            found[way] = DrawnPaths.of(network, way)(weights, inputs, 2).samples
    torch.testing.assert_close(found["batched"], found["loop"], rtol=1e-5, atol=1e-4)
    assert draws_module._BATCHABLE[network] == {"cuda": True}


def test_vmap_does_what_the_explicit_form_of_deepar_does() -> None:
    network = deepar(num_feat_static_cat=1, cardinality=[3])
    weights, inputs = random_weights(network, 2), fields(network)
    generic = VmapEvaluator(network, stacked_parameters(network, weights))
    torch.manual_seed(0)
    explicit = DrawnPaths.of(network, "batched")(weights, inputs, 3).samples
    torch.manual_seed(0)
    torch.testing.assert_close(sample_paths(network, generic, inputs, 3), explicit)
    assert network.rnn.fused


def test_gluonts_deepar_keeps_its_law(untrained, series) -> None:
    """It is evaluated as ours: paths of each draw are distributed as its own."""
    predictor, _ = untrained("deepar")
    network = predictor.prediction_net.network
    loader = InferenceDataLoader(
        series, transform=predictor.input_transform, batch_size=3, stack_fn=batchify
    )
    batch = next(iter(loader))
    inputs = {name: batch[name] for name in predictor.input_names}
    weights = random_weights(network, 2)
    torch.manual_seed(0)
    with torch.no_grad():
        mine = DrawnPaths.of(network, "batched")(weights, inputs, 3000).samples
        for draw, row in enumerate(weights):
            with weights_at(network, row):
                theirs = network(**inputs, num_parallel_samples=3000)
            for item in range(3):
                for time in (0, 3):
                    test = ks_2samp(mine[draw, item, :, time], theirs[item, :, time])
                    assert test.pvalue > 1e-4


def test_frozen_tied_and_buffers() -> None:
    """A frozen weight keeps its value in every draw, a tied one has one value in both places."""

    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.distr_output = NormalOutput()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.second.bias.requires_grad_(False)
            self.register_buffer("factor", torch.tensor(2.0))
            self.args_proj = self.distr_output.get_args_proj(3)

        def forward(self, past_target):
            hidden = self.second(torch.tanh(self.first(past_target))) * self.factor
            args = self.args_proj(hidden.unsqueeze(1).expand(-1, 4, -1))
            one = torch.ones(len(past_target), 1)
            return args, 0 * one, one

    network = Direct().eval()
    weights, inputs = random_weights(network, 3), {"past_target": torch.randn(5, 3)}
    assert weights.shape == (3, 9 + 3 + 8)
    with torch.no_grad():
        found = DrawnPaths.of(network, "batched")(weights, inputs, 2)
        assert draws_module._BATCHABLE[network] == {"cpu": True}
        for draw, row in enumerate(weights):
            with weights_at(network, row):
                alone = draw_paths(network, inputs, 2)
            torch.testing.assert_close(found.mean[draw], alone.mean)
            torch.testing.assert_close(found.variance[draw], alone.variance)


def test_a_function_of_ones_own_is_called_for_every_draw() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.zeros(1))

    @draw_paths.register(Mine)
    def _(network, inputs, num_paths):
        time = torch.arange(4.0) + network.level
        return Paths(time.expand(len(inputs["past_target"]), num_paths, -1), None, None)

    weights = torch.tensor([[0.0], [10.0]])
    found = DrawnPaths.of(Mine(), "batched")(weights, {"past_target": torch.zeros(3, 2)}, 5)
    assert found.samples.shape == (2, 3, 5, 4)
    torch.testing.assert_close(found.samples[:, 0, 0, 0], torch.tensor([0.0, 10.0]))
    assert found.mean is None


def test_networks_that_draw_no_paths_are_told() -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.zeros(1))

        def forward(self, past_target):
            return past_target[:, -4:] + self.level

    class WithHead(Silent):
        distr_output = NormalOutput()

    class Turned(Silent):
        def forward(self, past_target, num_parallel_samples=1):
            return torch.zeros(num_parallel_samples, len(past_target), 4)

    class Sampling(Silent):
        def forward(self, past_target, num_parallel_samples=1):
            return torch.zeros(len(past_target), num_parallel_samples, 4)

    with pytest.raises(
        TypeError, match=r"Silent: it has neither .* num_parallel_samples and .*Paths"
    ):
        check_paths(Silent())
    fields = {"past_target": torch.zeros(3, 8)}
    for network in (WithHead(), Turned(), Sampling()):
        check_paths(network)
    with pytest.raises(TypeError, match=r"WithHead: it has 'distr_output', and its forward gives"):
        DrawnPaths.of(WithHead(), "loop")(torch.zeros(2, 1), fields, 5)
    with pytest.raises(
        TypeError, match=r"Turned: it gave \(5, 3, 4\) for a batch of 3 and 5 paths"
    ):
        DrawnPaths.of(Turned(), "loop")(torch.zeros(2, 1), fields, 5)
    assert DrawnPaths.of(Sampling(), "loop")(torch.zeros(2, 1), fields, 5).samples.shape[1:3] == (
        3,
        5,
    )


def test_what_cannot_be_batched_or_comes_out_otherwise_takes_the_loop(caplog) -> None:
    caplog.set_level("INFO", "tsbnn")
    one, other, cpu = nn.Linear(1, 1), nn.Linear(1, 1), torch.device("cpu")

    def fails(way: str):
        if way == "batched":
            raise RuntimeError("no rule\nfor this")
        return torch.zeros(2)

    assert not is_batchable(one, cpu, fails)
    assert "Linear takes weight draws one by one: no rule" in caplog.text
    assert not is_batchable(other, cpu, lambda way: torch.full((2,), float(way == "loop")))


def test_a_replica_shares_all_but_what_is_replaced() -> None:
    network = deepar()
    weight = torch.zeros_like(network.rnn.weight_hh_l0)
    copy = replica(network, {"rnn.weight_hh_l0": weight})
    assert copy.rnn.weight_hh_l0 is weight
    assert copy.rnn._flat_weights[1] is weight
    assert copy.rnn.weight_ih_l0 is network.rnn.weight_ih_l0
    assert network.rnn.weight_hh_l0 is not weight
    assert network.rnn._flat_weights[1] is network.rnn.weight_hh_l0


@pytest.mark.parametrize(
    ("kind", "device", "draws", "num_weights", "way"),
    [
        ("deepar", "cpu", 1, 10**4, "batched"),
        ("autoregressive", "cpu", 2, 10**4, "loop"),
        ("autoregressive", "cpu", 20, 10**7, "batched"),
        ("direct", "cpu", 2, 10**4, "loop"),
        ("direct", "cpu", 20, 10**4, "batched"),
        ("direct", "cpu", 20, 10**7, "loop"),
        ("direct", "cuda", 20, 10**7, "batched"),
    ],
)
def test_the_choice(kind, device, draws, num_weights, way) -> None:
    assert choose(kind, torch.device(device), draws, num_weights) == way


def test_names_of_the_ways(untrained, tiny) -> None:
    predictor, _ = untrained("deepar")
    message = "draw_evaluation must be one of auto, loop, batched, not 'fast'"
    with pytest.raises(ValueError, match=message):
        BayesianEstimator(tiny("deepar"), draw_evaluation="fast")
    with pytest.raises(ValueError, match=message):
        type(predictor)(**{**predictor.__init_args__, "draw_evaluation": "fast"})


def test_the_estimator_passes_its_choice_on(tiny, series, tmp_path) -> None:
    estimator = BayesianEstimator(
        tiny("simple_feedforward"), "map", draw_evaluation="loop", memory_limit=10**6
    )
    predictor = estimator.train(series)
    save(predictor, tmp_path / "model")
    for found in (predictor, load(tmp_path / "model", device="cpu")):
        assert (found.draw_evaluation, found.memory_limit) == ("loop", 10**6)
