"""Bayesian training takes its windows from the store, or streams what does not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gluonts.dataset.common import FileDataset, ListDataset
from gluonts.itertools import IterableSlice

from tsbnn import BayesianEstimator
from tsbnn.datasets import FrameError
from tsbnn.forecasting.windows import WindowLoader, not_served


def train(tiny: Callable[..., Any], data: Any, *, name: str = "deepar", **options: Any) -> Any:
    estimator = BayesianEstimator(tiny(name), "map", num_draws=2)
    return estimator.train_model(data, **options)


def weights(output: Any) -> torch.Tensor:
    return output.predictor.posterior.mean


def test_training_and_validation_cut_windows_out_of_the_store(
    tiny: Callable[..., Any], series: ListDataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsbnn.forecasting.windows")
    output = train(tiny, series, validation_data=series)
    assert isinstance(output.trainer.train_dataloader, WindowLoader)
    assert isinstance(output.trainer.val_dataloaders, WindowLoader)
    assert not [record for record in caplog.records if "windows" in record.name]
    assert len(list(output.predictor.predict(series))) == 3


def test_a_limit_of_memory_streams(
    tiny: Callable[..., Any], series: ListDataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsbnn.forecasting.windows")
    not_served._said.clear()
    output = train(tiny, series, cache_limit=1_000)
    assert isinstance(output.trainer.train_dataloader, IterableSlice)
    assert "transformed series take more than" in caplog.text
    streamed = train(tiny, series, cache_data=False)
    assert isinstance(streamed.trainer.train_dataloader, IterableSlice)
    # The same windows: both are GluonTS's loader on the same random numbers.
    assert torch.equal(weights(output), weights(streamed))
    with pytest.raises(ValueError, match="cache_limit=0: expected a whole number"):
        train(tiny, series, cache_limit=0)


@pytest.mark.parametrize("name", ["deepar", "our_deepar"])
def test_series_without_a_window_are_refused_and_named(tiny: Callable[..., Any], name: str) -> None:
    entries = [
        {"start": "2021-01-01", "target": np.ones(length), "item_id": f"s{number}"}
        for number, length in enumerate((1, 3, 2, 1))
    ]
    found = "none of its 4 series has the 4 points .* longest has 3 points: "
    named = "'s0' has 1, 's1' has 3, 's2' has 2, …$"
    with pytest.raises(FrameError, match=f"^training_data has no window: {found}{named}"):
        train(tiny, ListDataset(entries, freq="h"), name=name)


def test_validation_series_without_a_window_are_refused(
    tiny: Callable[..., Any], series: ListDataset
) -> None:
    short = ListDataset([{"start": "2021-01-01", "target": np.ones(3)}], freq="h")
    with pytest.raises(ValueError, match="validation_data has no window"):
        train(tiny, series, validation_data=short)


@pytest.mark.parametrize("kind", ["arrow", "stream", "parquet"])
def test_arrow_files_are_stored_or_streamed(
    tiny: Callable[..., Any], series: ListDataset, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("pyarrow")
    from gluonts.dataset.arrow import ArrowWriter, File, ParquetWriter

    plain = [{key: entry[key] for key in ("item_id", "start", "target")} for entry in series]
    writer = ParquetWriter() if kind == "parquet" else ArrowWriter(stream=kind == "stream")
    path = (tmp_path / "series").with_suffix(writer.suffix)
    writer.write_to_file(plain, path)
    names = {"arrow": "ArrowFile", "stream": "ArrowStreamFile", "parquet": "ParquetFile"}
    assert type(File.infer(path)).__name__ == names[kind]
    data = FileDataset(path, freq="h")
    stored, streamed = train(tiny, data), train(tiny, data, cache_limit=1_000)
    assert isinstance(stored.trainer.train_dataloader, WindowLoader)
    assert isinstance(streamed.trainer.train_dataloader, IterableSlice)
    assert torch.equal(weights(stored), weights(train(tiny, series)))
    assert torch.equal(weights(streamed), weights(train(tiny, series, cache_data=False)))
