"""What the posteriors have learnt, as training told it: rows for the page of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tsbnn.evaluation.result import Backtest
from tsbnn.evaluation.table import decimals, written

Found = Mapping[str, Any]

#: Details of methods that have a name for readers; others are shown under their own.
_NAMES = {
    "strength": "proximal strength",
    "curvature_noise": "curvature noise",
    "trust_region_hits": "trust-region hits",
}
_SHARES = ("trust_region_hits",)


def learnt(backtest: Backtest) -> list[dict[str, Any]]:
    """One row per model whose training left diagnostics of a posterior with a spread.

    They are read from ``diagnostics`` in the models' training summaries (in JSON terms, as
    ``tsbnn.inference.Diagnostics.to_dict`` has them): means over seeds, and the tensors of the
    first seed.
    """
    told: dict[str, list[Found]] = {}
    for model in backtest.models:
        runs = [run.get("diagnostics") for run in backtest.settings[model]["runs"]]
        known = [run for run in runs if isinstance(run, Mapping) and _has_spread(run)]
        if known:
            told[model] = known
    elbos = [_mean(runs, "elbo") for runs in told.values()]
    digits = max(2, decimals(np.array([elbo for elbo in elbos if math.isfinite(elbo)])))
    return [_row(model, runs, digits) for model, runs in told.items()]


def _row(model: str, runs: Sequence[Found], digits: int) -> dict[str, Any]:
    first = runs[0]
    middle = [_weighted_median(run) for run in runs]
    return {
        "model": model,
        "numbers": [
            written(float(first["num_observations"]), "count"),
            f"{first['temperature']:.3g}",
            written(_mean(runs, "elbo"), digits=digits),
            written(_mean(runs, "gradient_noise"), "percent", 1),
            written(float(np.mean(middle)), digits=3),
            written(_mean(runs, "learnt_nothing"), "percent", 1),
            written(_mean(runs, "collapsed"), "percent", 1),
        ],
        "elbo_note": first.get("elbo_note") or "",
        "details": _details(first),
        "warnings": list(dict.fromkeys(words for run in runs for words in run["warnings"])),
        "seed": len(runs) > 1,
        "columns": [_NAMES.get(name, _words(name)) for name in _columns(first)],
        "layers": [_layer(layer, _columns(first)) for layer in first["layers"]],
    }


def _has_spread(found: Found) -> bool:
    return any(layer["spread"] is not None for layer in found["layers"])


def _mean(runs: Sequence[Found], key: str) -> float:
    values = [run[key] for run in runs if run[key] is not None]
    return float(np.mean(values)) if values else math.nan


def _weighted_median(found: Found) -> float:
    """Median over weights of their tensors' median spread."""
    layers = [layer for layer in found["layers"] if layer["spread"] is not None]
    medians = np.array([layer["spread"][1] for layer in layers])
    counts = np.array([layer["num_spread"] for layer in layers])
    order = np.argsort(medians)
    half = np.searchsorted(np.cumsum(counts[order]), counts.sum() / 2)
    return float(medians[order][half])


def _columns(found: Found) -> list[str]:
    return list(dict.fromkeys(name for layer in found["layers"] for name in layer["details"]))


def _details(found: Found) -> list[str]:
    """What the method alone knows, in words; tensors' figures as their range."""
    said = []
    for name in _columns(found):
        values = [layer["details"].get(name) for layer in found["layers"]]
        known = [value for value in values if value is not None]
        if known:
            said.append(
                f"{_NAMES.get(name, _words(name))} {_short(min(known))} to {_short(max(known))}"
            )
    for name, value in found["details"].items():
        if value is not None:
            text = written(value, "percent", 1) if name in _SHARES else _short(value)
            said.append(f"{_NAMES.get(name, _words(name))} {text}")
    return said


def _layer(layer: Found, columns: Sequence[str]) -> dict[str, Any]:
    spread = layer["spread"] or (None, None, None)
    shares = (layer["learnt_nothing"], layer["collapsed"], layer["gradient_noise"])
    return {
        "name": layer["name"],
        "cells": [
            written(float(layer["num_weights"]), "count"),
            *("–" if value is None else _short(value) for value in spread),
            *("–" if share is None else written(share, "percent") for share in shares),
            *(
                "–" if (value := layer["details"].get(name)) is None else _short(value)
                for name in columns
            ),
        ],
    }


def _short(value: float) -> str:
    """Three digits, without an exponent where the number is of ordinary size."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.1e}".replace("-", "−")
    digits = 3 if not value else max(0, min(6, 2 - math.floor(math.log10(abs(value)))))
    return written(value, digits=digits)


def _words(name: str) -> str:
    return name.replace("_", " ")
