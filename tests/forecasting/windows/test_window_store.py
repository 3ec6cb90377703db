"""Flat fields of many series give back every window of every series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gluonts.transform import ExpectedNumInstanceSampler, InstanceSplitter

from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_fields import WindowCutter, batch_fields
from tsbnn.forecasting.windows.window_loader import WindowLoader
from tsbnn.forecasting.windows.window_sampler import window_stream
from tsbnn.forecasting.windows.window_store import StoreBuilder, WindowStore

CPU = torch.device("cpu")
NAMES = ["static", "past_target", "past_feature", "future_target", "past_is_pad"]


def splitter(
    past: int, future: int = 2, fields: tuple[str, ...] = ("feature",), **settings: Any
) -> InstanceSplitter:
    return InstanceSplitter(
        target_field="target",
        is_pad_field="is_pad",
        start_field="start",
        forecast_start_field="forecast_start",
        instance_sampler=ExpectedNumInstanceSampler(num_instances=1.0, min_future=future),
        past_length=past,
        future_length=future,
        time_series_fields=list(fields),
        **settings,
    )


def entries(lengths: list[int], seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, sum(lengths))).astype(np.float32)
    ends = np.cumsum(lengths)
    return [
        {
            "target": values[0, end - length : end],
            "feature": values[1:, end - length : end],
            "static": np.array([number], dtype=np.int64),
        }
        for number, (length, end) in enumerate(zip(lengths, ends.tolist(), strict=True))
    ]


def stored(
    series: list[dict[str, Any]],
    front: int,
    dummy: float = 0.0,
    fields: tuple[str, ...] = ("target", "feature"),
) -> WindowStore:
    builder = StoreBuilder("target", fields, ["static"], 2**30)
    for entry in series:
        builder.add(entry)
    return builder.build(front, dummy)


def expected_past(entry: dict[str, Any], split: int, past: int, dummy: float) -> np.ndarray:
    padded = np.concatenate([np.full(past, dummy, np.float32), entry["target"]])
    return padded[split : split + past]


@pytest.mark.parametrize(("past", "is_padded"), [(3, True), (12, False)])
@pytest.mark.parametrize("dummy", [0.0, -1.0])
def test_every_window_of_every_series(past: int, is_padded: bool, dummy: float) -> None:
    series = entries([9, 1, 4, 2, 7])
    # What a window must not show of the series before.
    series[0]["target"][-1], series[1]["feature"][:] = np.nan, np.inf
    store = stored(series, past, dummy)
    assert store.is_padded == is_padded
    split_with = splitter(past, dummy_value=dummy)
    cutter = WindowCutter(store, split_with, batch_fields(split_with, NAMES), CPU)
    stream = window_stream(split_with.instance_sampler, store.lengths, torch.Generator())
    windows = stream.points.locate(torch.arange(stream.points.total))
    assert stream.points.total == sum(max(0, len(entry["target"]) - 1) for entry in series)
    cuts, reaches_before = cutter.locate(windows)
    assert torch.equal(reaches_before, windows.split < past)
    batch = cutter.cut(cuts)
    assert list(batch) == NAMES
    for row, (number, split) in enumerate(zip(*map(torch.Tensor.tolist, windows), strict=True)):
        entry = series[number]
        assert batch["static"][row] == number
        own = batch["past_target"][row].numpy()
        assert np.array_equal(own, expected_past(entry, split, past, dummy), equal_nan=True)
        future = batch["future_target"][row].numpy()
        assert np.array_equal(future, entry["target"][split : split + 2], equal_nan=True)
        missing = max(0, past - split)
        assert batch["past_is_pad"][row].tolist() == [1.0] * missing + [0.0] * (past - missing)
        feature = batch["past_feature"][row].numpy()
        assert (feature[:missing] == dummy).all()
        assert np.array_equal(feature[missing:], entry["feature"].T[max(0, split - past) : split])


def test_a_batch_said_to_reach_into_no_padding_needs_no_mask() -> None:
    series = entries([30, 30])
    split_with = splitter(20)
    store = stored(series, 20)
    store.is_padded = False
    cutter = WindowCutter(store, split_with, batch_fields(split_with, NAMES), CPU)
    stream = window_stream(split_with.instance_sampler, store.lengths, torch.Generator())
    windows = stream.points.locate(torch.arange(20, 28))
    cuts, reaches_before = cutter.locate(windows)
    assert not reaches_before.any()
    for name, value in cutter.cut(cuts, is_padded=False).items():
        assert torch.equal(value, cutter.cut(cuts, is_padded=True)[name])


def test_a_hundred_thousand_series() -> None:
    """Lengths from 5 to 60, far shorter than the past: there is no room in front of each."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(5, 61, 100_000).tolist()
    series = entries(lengths)
    split_with = splitter(500, 7, fields=())
    store = stored(series, 500, fields=("target",))
    assert not store.is_padded
    assert store.nbytes == (sum(lengths) + 500) * 4 + 100_000 * 8
    names = ["static", "past_target", "future_target"]
    cutter = WindowCutter(store, split_with, batch_fields(split_with, names), CPU)
    generator = torch.Generator().manual_seed(0)
    stream = window_stream(split_with.instance_sampler, store.lengths, generator)
    batches = list(WindowLoader(cutter, stream, 32, 50))
    statics = torch.cat([batch["static"] for batch in batches]).squeeze(1)
    # About one window of each series, in their order: 1,600 windows are of the first 1,700.
    assert torch.equal(statics, statics.sort().values)
    assert 1_300 < int(statics[-1]) < 1_900
    twin = window_stream(
        split_with.instance_sampler, store.lengths, torch.Generator().manual_seed(0)
    )
    windows = twin.take(16_384)
    past = torch.cat([batch["past_target"] for batch in batches])
    future = torch.cat([batch["future_target"] for batch in batches])
    for row in range(0, 1_600, 7):
        number, split = int(windows.series[row]), int(windows.split[row])
        assert statics[row] == number
        assert np.array_equal(past[row].numpy(), expected_past(series[number], split, 500, 0.0))
        assert np.array_equal(future[row].numpy(), series[number]["target"][split : split + 7])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"feature": np.zeros((2, 3))}, "'feature' is shorter than 'target'"),
        ({"feature": np.zeros((3, 5), np.float32)}, "'feature' differs in type or shape"),
        ({"target": np.zeros(5)}, "'target' differs in type or shape"),
        ({"static": np.zeros(2, np.int64)}, "'static' differs in type or shape"),
        ({"static": "shop"}, "'static' holds no numbers"),
        ({"static": [[1], [1, 2]]}, "'static' is no array"),
    ],
)
def test_what_cannot_be_stored(change: dict[str, Any], reason: str) -> None:
    builder = StoreBuilder("target", ["target", "feature"], ["static"], 2**30)
    first, second = entries([5, 5])
    builder.add(first)
    with pytest.raises(NotServedError, match=reason):
        builder.add({**second, **change})
    second.pop("static")
    with pytest.raises(NotServedError, match="neither a field"):
        builder.add(second)


def test_known_values_beyond_the_target_are_left_out() -> None:
    long = entries([9])[0]
    short = {**long, "target": long["target"][:6]}
    store = stored([short], 2)
    assert store.series["feature"].shape == (8, 2)
    assert np.array_equal(store.series["feature"][2:].numpy(), long["feature"][:, :6].T)


def test_more_than_memory_allows() -> None:
    builder = StoreBuilder("target", ["target", "feature"], ["static"], 5 * 12 * 4 + 4 * 8)
    series = entries([4] * 5)
    for entry in series[:4]:
        builder.add(entry)
    with pytest.raises(NotServedError, match="after 5 of them") as refusal:
        builder.add(series[4])
    assert not refusal.value.fits_memory


def test_room_in_front_is_taken_only_if_there_is_memory() -> None:
    series = entries([20, 20])
    for limit, is_padded in [(2 * (40 * 12 + 16), True), (2 * (40 * 12 + 16) - 1, False)]:
        builder = StoreBuilder("target", ["target", "feature"], ["static"], limit)
        for entry in series:
            builder.add(entry)
        assert builder.build(10).is_padded == is_padded
