"""What a gradient evaluation of every method costs beside a step of Adam, on plain torch modules.

`python -m benchmarks.step_cost_networks` writes results/step_cost_networks.csv: an LSTM with 25,000
weights (batch 32, 80 steps, 10 features) and a transformer encoder with 10 million (batch 32, 32
tokens). A method and `torch.optim.Adam` (fused or foreach, whichever is the faster) take turns in
small blocks of steps, each on a module of its own, on the same batch; the ratio is that of each
pair of blocks, per gradient evaluation. Methods are first brought to where they spend most of
their time: behind warm start, probing and burn-in. Finished rows are not measured again; name
methods on the command line to measure these alone, anew.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.output import append, read, show
from tsbnn.inference import count_weights, method

GOALS = {"mean-field": 1.10, "low-rank": 1.40}


class Recurrent(nn.Module):
    """Two LSTM layers of 44 units and a linear head: 25,741 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(10, 44, num_layers=2, batch_first=True)
        self.head = nn.Linear(44, 1)

    def forward(self, data: Tensor) -> Tensor:
        return self.head(self.rnn(data)[0]).squeeze(-1)


class Encoder(nn.Module):
    """Eight transformer layers of width 320: 10 million weights."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            320, 5, 1280, dropout=0.0, batch_first=True, norm_first=True
        )
        self.embed = nn.Linear(10, 320)
        self.encoder = nn.TransformerEncoder(layer, 8, enable_nested_tensor=False)
        self.head = nn.Linear(320, 1)

    def forward(self, data: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(data))).squeeze(-1)


@dataclass(frozen=True)
class Network:
    """A module, its batch (``batch x time x features``), and steps in a block and blocks."""

    build: Callable[..., nn.Module]
    shape: tuple[int, int, int]
    steps: int
    blocks: int


NETWORKS = {
    "LSTM": Network(Recurrent, (32, 80, 10), steps=4, blocks=40),
    "transformer": Network(Encoder, (32, 32, 10), steps=1, blocks=7),
}


@dataclass(frozen=True)
class Row:
    """A method behind its first phases after ``lead_in`` of ``total_steps`` steps."""

    method: str
    settings: dict[str, Any]
    goal: str = "mean-field"
    lead_in: int = 4
    total_steps: int = 1_000


# Behind a warm start or a burn-in of no steps, or a probe of a few.
AT_ONCE = {"warm_start": 0.0}
PROBED = {"warm_start": 0.0, "probe_steps": 8}
CHAIN = {"warm_start": 0.0, "burn_in": 0.0}
ROWS = {
    "score": Row("score", PROBED, lead_in=10),
    "score, low rank (r=5)": Row(
        "score", {**PROBED, "family": "low_rank", "rank": 5}, "low-rank", lead_in=10
    ),
    "elbo": Row("elbo", AT_ONCE),
    "elbo, low rank (r=5)": Row(
        "elbo", {**AT_ONCE, "family": "low_rank", "rank": 5}, goal="low-rank"
    ),
    "elbo_natural": Row("elbo_natural", PROBED, lead_in=10),
    "alpha": Row("alpha", AT_ONCE),
    "sgld": Row("sgld", CHAIN),
    "psgld": Row("psgld", CHAIN),
    "sghmc": Row("sghmc", CHAIN),
    # 50 of 1,000 steps in one cycle keep states; the last tenth of it samples.
    "cyclical": Row("cyclical", {**CHAIN, "cycles": 1, "exploration": 0.01}, lead_in=12),
    "mc_dropout": Row("mc_dropout", {}),
    "ensemble": Row("ensemble", {"num_members": 5}),
    "swag": Row("swag", {"collecting_share": 0.99}, lead_in=12),
    "ssvi": Row("ssvi", {"warm_start": 0.0}),
    "map": Row("map", {}),
}


class Side:
    """One optimizer on one module and batch, with the time that its gradient evaluations take."""

    def __init__(self, network: Network, row: Row | None, data: Tensor, target: Tensor) -> None:
        torch.manual_seed(0)
        self.module = network.build()
        self.data, self.target = data, target
        self.evaluations = 0
        self.optimizer: torch.optim.Optimizer
        if row is None:
            self.optimizer = torch.optim.Adam(self.module.parameters(), 1e-4, **fastest_adam())
        else:
            inference = method(row.method, **{"learning_rate": 1e-4, **row.settings})
            # Few observations: an untrained network of 10 million weights has hardly a posterior of
            # many, and what a step costs does not depend on it.
            self.optimizer = inference.optimizer(
                self.module, num_observations=100, total_steps=row.total_steps
            )

    def closure(self) -> Tensor:
        self.evaluations += 1
        self.optimizer.zero_grad()
        loss = nn.functional.mse_loss(self.module(self.data), self.target)
        loss.backward()
        return loss

    def run(self, steps: int) -> float:
        """Take steps and return the seconds of a gradient evaluation."""
        before, started = self.evaluations, time.perf_counter()
        for _ in range(steps):
            self.optimizer.step(self.closure)
        return (time.perf_counter() - started) / (self.evaluations - before)


def fastest_adam() -> dict[str, bool]:
    """Settings of the faster of torch's two fast Adams, on 10 million weights."""
    if not _FASTEST:
        weights = [nn.Parameter(torch.randn(1_000_000)) for _ in range(10)]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        seconds = {}
        for name in ("fused", "foreach"):
            optimizer = torch.optim.Adam(weights, **{name: True})
            times = []
            for _ in range(8):
                started = time.perf_counter()
                optimizer.step()
                times.append(time.perf_counter() - started)
            seconds[name] = min(times)
        print({name: f"{1e3 * value:.1f} ms" for name, value in seconds.items()})
        _FASTEST[min(seconds, key=lambda name: seconds[name])] = True
    return _FASTEST


_FASTEST: dict[str, bool] = {}


def state_bytes(optimizer: Any) -> int:
    """Bytes of what an optimizer keeps between steps, the module's weights and gradient apart."""
    if isinstance(optimizer, torch.optim.Adam):
        state = [t for entry in optimizer.state.values() for t in entry.values()]
    else:
        state = [*optimizer.posterior.buffers(), *optimizer._vectors.values()]
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in state}
    return sum(kept.values())


def measure(name: str, network_name: str) -> dict[str, Any]:
    network, row = NETWORKS[network_name], ROWS[name]
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(network.shape, generator=generator)
    target = data.sum(-1)
    own, adam = (Side(network, which, data, target) for which in (row, None))
    own.run(row.lead_in)
    adam.run(2)
    pairs = []
    for _ in range(network.blocks):
        # An evaluation each: a block of a method with pairs has as many evaluations as Adam's.
        pairs.append((own.run(network.steps), adam.run(network.steps)))
    ratios = sorted(mine / theirs for mine, theirs in pairs)
    median = statistics.median(ratios)
    return {
        "network": network_name,
        "num_weights": count_weights(own.module),
        "method": name,
        "evaluations_per_step": own.optimizer.method.evaluations_per_step,
        "ms_per_evaluation": 1e3 * statistics.median(mine for mine, _ in pairs),
        "adam_ms": 1e3 * statistics.median(theirs for _, theirs in pairs),
        "ratio_median": median,
        "ratio_low": ratios[len(ratios) // 4],
        "ratio_high": ratios[-1 - len(ratios) // 4],
        "state_vectors": state_bytes(own.optimizer) / (4 * count_weights(own.module)),
        "goal": GOALS[row.goal],
        "met": median <= GOALS[row.goal],
    }


def main() -> None:
    torch.set_num_threads(1)
    asked = sys.argv[1:]
    done = read("step_cost_networks", ["network", "method"])
    done = done[~done.method.isin(asked)]
    for network in NETWORKS:
        for name in asked or ROWS:
            if ((done.network == network) & (done.method == name)).any():
                continue
            done = append(done, measure(name, network), "step_cost_networks")
    show(done, "Medians and quartiles over blocks; state in weight-sized vectors")


if __name__ == "__main__":
    main()
