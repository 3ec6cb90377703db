"""Training in bfloat16: products in half precision, the posterior and densities in single."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from tsbnn.forecasting import BayesianEstimator


class Types(Callback):
    """Dtypes of what the network's parts give."""

    def __init__(self) -> None:
        self.seen: set[torch.dtype] = set()

    def on_train_start(self, trainer, pl_module) -> None:
        for part in pl_module.network.modules():
            part.register_forward_hook(self._look)

    def _look(self, part, inputs, output) -> None:
        for value in output if isinstance(output, tuple) else (output,):
            if isinstance(value, Tensor):
                self.seen.add(value.dtype)


@pytest.mark.parametrize("inference", ["score", "map"])
@pytest.mark.parametrize("name", ["our_deepar", "our_transformer", "our_patch_transformer"])
def test_bf16_autocast(name, inference, tiny, series) -> None:
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        types = Types()
        wrapped = tiny(name, trainer_kwargs={"precision": precision, "callbacks": [types]})
        output = BayesianEstimator(wrapped, inference, num_draws=2).train_model(series, series)
        assert (torch.bfloat16 in types.seen) == (precision == "bf16-mixed")
        predictor = output.predictor
        assert {value.dtype for value in predictor.posterior.state_dict().values()} == {
            torch.float32
        }
        assert all(np.isfinite(path.samples).all() for path in predictor.predict(series))
        losses.append(predictor.training_summary["val_loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
