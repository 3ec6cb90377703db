"""A network at K weight vectors at once: one after the other, or batched over a leading dimension.

The loop keeps fused kernels (cuDNN's and oneDNN's LSTM) and runs any network. The batched way
turns K small products into one large one with :func:`torch.func.vmap`; what that cannot batch is
found in one small trial per network. Both give the same numbers up to rounding.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from tsbnn.forecasting.likelihood import Batch
from tsbnn.inference import evaluate_at, weights_at

EVALUATIONS = ("auto", "loop", "batched")
_FEW_DRAWS, _WIDE = 5, 1_000_000
_LOG = logging.getLogger(__name__)
_BATCHABLE: WeakKeyDictionary[nn.Module, dict[str, bool]] = WeakKeyDictionary()


def check_evaluation(value: Any) -> str:
    """Return a way of evaluating draws.

    Raises
    ------
    ValueError
        If it is none of :data:`EVALUATIONS`.
    """
    if value not in EVALUATIONS:
        raise ValueError(f"draw_evaluation must be one of {', '.join(EVALUATIONS)}, not {value!r}")
    return str(value)


def choose(kind: str, device: torch.device, draws: int, num_weights: int) -> str:
    """Choose the loop or the batched way.

    Time of the batched way over the loop's on two cores of a CPU, draws x paths, 8 and 32 series,
    horizon 30 (`python -m benchmarks.speed draws`, results/speed-cpu.csv):

    ==========================  ==========  =========  =========  =========  =========
    network                     weights     2 x 1      5 x 20     20 x 5     100 x 1
    ==========================  ==========  =========  =========  =========  =========
    deepar                          26,000  0.39 0.49  0.38 0.58  0.18 0.33  0.07 0.20
    deepar, 200 units              510,000  0.56 0.73  0.77 0.90  0.56 0.76  0.47 0.69
    transformer                     27,000  2.00 1.69  0.79 1.00  0.26 0.48  0.12 0.24
    transformer, width 256       1,600,000  1.43 1.04  1.13 1.18  0.71 0.89  0.47 0.72
    simple_feedforward              14,000  1.11 1.26  0.83 0.93  0.40 0.65  0.18 0.22
    patch_tst                      270,000  1.21 1.21  0.73 0.85  0.41 0.54  0.22 0.47
    simple_feedforward, wide    30,000,000  0.73 0.80  0.72 0.96  0.62 0.80
    patch_tst, width 256        17,000,000  0.87 0.47  0.97 1.12  0.88 0.95
    ==========================  ==========  =========  =========  =========  =========

    So there DeepAR, which has an explicit batched form, is batched; others from 5 draws on, and
    networks that give the whole horizon at once up to a million weights, beyond which the products
    of a single draw fill the machine: little is won there on two cores, and on one core 20 draws
    of the wide patch_tst took 1.4 to 1.5 times the loop's time. On CUDA, without figures yet, all
    are batched: a loop starts as many small kernels for each draw.

    Parameters
    ----------
    kind
        ``"deepar"``, ``"autoregressive"`` (any other of ours) or ``"direct"``.
    device
        Where the weights are.
    draws, num_weights
        Numbers of weight vectors, and of weights in each.
    """
    if device.type != "cpu" or kind == "deepar":
        return "batched"
    too_wide = kind == "direct" and num_weights > _WIDE
    return "loop" if draws < _FEW_DRAWS or too_wide else "batched"


def under_all_names(network: nn.Module, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the further names of tied parameters to stacked ones, which have one name each."""
    first = {id(own): name for name, own in network.named_parameters()}
    names = network.named_parameters(remove_duplicate=False)
    known = {name: parameters.get(first[id(own)]) for name, own in names}
    return {name: value for name, value in known.items() if value is not None}


def forward_at(network: nn.Module, weights: Tensor, inputs: Batch, way: str) -> Any:
    """Run ``forward`` at each weight vector; every tensor of the result is ``draws x ...``."""
    return (_forward_loop if way == "loop" else _forward_batched)(network, weights, inputs)


def _forward_loop(network: nn.Module, weights: Tensor, inputs: Batch) -> Any:
    outputs = []
    for row in weights:
        with weights_at(network, row):
            outputs.append(network(**inputs))
    return tree_map(lambda *leaves: torch.stack(leaves), *outputs)


def _forward_batched(network: nn.Module, weights: Tensor, inputs: Batch) -> Any:
    if any(isinstance(part, nn.RNNBase) for part in network.modules()):
        raise NotImplementedError("torch's recurrent kernels take one weight vector at a time")

    return evaluate_at(network, weights, lambda network: network(**inputs))


def is_batchable(network: nn.Module, device: torch.device, trial: Callable[[str], Any]) -> bool:
    """Say whether the batched way does what the loop does for a network.

    Found in one small trial for each network and kind of device, and remembered.

    Parameters
    ----------
    network
        The network.
    device
        Where its weights are.
    trial
        Given ``"loop"`` or ``"batched"``, evaluates a few draws that way; takes no random numbers.
    """
    known = _BATCHABLE.setdefault(network, {})
    if device.type not in known:
        with torch.no_grad():
            known[device.type] = ways_agree(network, trial)
    return known[device.type]


def ways_agree(network: nn.Module, trial: Callable[[str], Any]) -> bool:
    """Say whether a trial gives the same numbers both ways; log why not.

    Parameters
    ----------
    network, trial
        As :func:`is_batchable` takes them.
    """
    expected = tree_leaves(trial("loop"))
    try:
        with warnings.catch_warnings():
            # torch's own loop over operations without a batching rule is no gain.
            warnings.filterwarnings("error", message="There is a performance drop")
            found = tree_leaves(trial("batched"))
    # vmap stops with exceptions of any kind; the loop still works.
    except Exception as error:  # noqa: BLE001
        reason = str(error).partition("\n")[0]
        _LOG.info("%s takes weight draws one by one: %s", type(network).__name__, reason)
        return False
    return all(_is_close(one, other) for one, other in zip(expected, found, strict=True))


def _is_close(one: Tensor, other: Tensor) -> bool:
    # By default torch lets cuDNN's recurrent kernels round to TF32.
    tolerance = 1e-4 if one.device.type == "cpu" else 1e-2
    size = float(one.nan_to_num().abs().max())
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * size, equal_nan=True)
