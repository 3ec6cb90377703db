"""A compiled training loss gives the posterior of the loss as it is, and leaves nothing behind.

Fast tests trace the loss as torch.compile does, with its guards, and run what was traced without
generating code for it; that takes seconds for each network.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gluonts.core.serde import dump_json, load_json
from gluonts.model.predictor import Predictor
from torch.distributions import Distribution

from tsbnn import load, save
from tsbnn.forecasting import BayesianEstimator, compiled, training
from tsbnn.forecasting.batch_sums import batch_sums

OURS = ["our_deepar", "our_transformer", "our_patch_transformer"]
SOME = [
    pytest.param(name, marks=[pytest.mark.slow] if name != "our_patch_transformer" else [])
    for name in OURS
]
CPU = torch.device("cpu")


@pytest.fixture
def apart():
    """For tests that call torch.compile themselves: it changes the process."""
    with compiled.without_validation():
        yield


@pytest.fixture
def traced(monkeypatch):
    """Count the traced batches; trace without generating code."""
    calls = []

    def counted(network, device):
        evaluate = compiled.compiled_sums(network, device, backend="aot_eager")

        def count(*arguments):
            calls.append(1)
            return evaluate(*arguments)

        return count

    monkeypatch.setattr(training, "compiled_sums", counted)
    monkeypatch.setattr(training, "check_compiler", lambda device: None)
    return calls


def train(wrapped, series, **options):
    return BayesianEstimator(wrapped, "score", num_draws=3, **options).train_model(series, series)


def assert_close(one, other) -> None:
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", SOME)
def test_the_posterior_is_the_same(name, tiny, series, traced, tmp_path) -> None:
    plain = train(tiny(name), series)
    assert traced == []
    output = train(tiny(name), series, compile=True)
    summary = output.predictor.training_summary
    assert len(traced) == summary["gradient_evaluations"] > summary["steps"]
    assert_close(plain.predictor.posterior, output.predictor.posterior)
    assert output.trained_net.sums is batch_sums
    # torch.compile turns it off for the process.
    assert Distribution._validate_args
    output.predictor.serialize(tmp_path)
    again = Predictor.deserialize(tmp_path, device="cpu")
    save(output.predictor, tmp_path / "safe")
    for other in (again, load(tmp_path / "safe", device="cpu")):
        paths = [
            [forecast.samples for forecast in predictor.predict(series)]
            for predictor in (output.predictor, other)
        ]
        np.testing.assert_array_equal(*map(np.stack, paths))


def test_weights_are_read_where_they_are(apart, tiny, series) -> None:
    """They change in place between two calls, and move to another buffer."""
    network = tiny("our_patch_transformer").create_lightning_module().model.eval()
    fields = {
        "past_target": torch.randn(2, 8),
        "past_observed_values": torch.ones(2, 8),
        "past_time_feat": torch.randn(2, 8, network.num_feat_dynamic_real),
        "future_time_feat": torch.randn(2, 4, network.num_feat_dynamic_real),
        "feat_static_cat": torch.zeros(2, 1, dtype=torch.long),
        "feat_static_real": torch.zeros(2, 1),
        "future_target": torch.randn(2, 4),
        "future_observed_values": torch.ones(2, 4),
    }
    evaluate = compiled.compiled_sums(network, CPU, backend="eager")
    seen = []
    for change in (
        lambda weight: None,
        lambda weight: weight.detach().mul_(0.5),
        lambda weight: setattr(weight, "data", weight.detach() + 0.1),
    ):
        for weight in network.parameters():
            change(weight)
        expected = network.point_losses(**fields)
        total, observed = evaluate(network, fields)
        torch.testing.assert_close(total, expected.nll.sum())
        assert observed == 8
        seen.append(total.item())
    assert len(set(seen)) == 3


def test_a_machine_without_a_compiler(tiny, series, monkeypatch) -> None:
    def broken(*arguments, **options):
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", lambda *arguments, **options: broken)
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler .* no compiler found"):
        train(tiny("our_deepar"), series, compile=True)


def test_the_argument(tiny) -> None:
    assert not BayesianEstimator(tiny("d_linear")).compile
    assert load_json(dump_json(BayesianEstimator(tiny("d_linear"), compile=True))).compile


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS[:1])
def test_generated_code(apart, name, tiny, series) -> None:
    try:
        compiled.check_compiler(CPU)
    except RuntimeError as error:
        pytest.skip(str(error))
    outputs = [train(tiny(name), series, compile=way) for way in (False, True)]
    assert_close(*(output.predictor.posterior for output in outputs))
