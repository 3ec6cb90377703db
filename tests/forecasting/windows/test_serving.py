"""Batches are GluonTS's bit by bit, or they are GluonTS's own."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gluonts.dataset.common import ListDataset
from gluonts.dataset.loader import as_stacked_batches
from gluonts.itertools import IterableSlice
from gluonts.torch import DeepAREstimator, TemporalFusionTransformerEstimator
from gluonts.torch.distributions import GammaOutput, StudentTOutput
from gluonts.torch.model.estimator import PyTorchLightningEstimator
from gluonts.transform import (
    ExpectedNumInstanceSampler,
    InstanceSplitter,
    NumInstanceSampler,
)

from tsbnn.forecasting.windows import (
    Loading,
    WindowLoader,
    data_loader,
    estimator_windows,
    free_memory,
    not_served,
)
from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_sampler import window_stream

HORIZON, SEED = 4, 11
NETWORKS = (
    "deepar",
    "simple_feedforward",
    "patch_tst",
    "tft",
    "tide",
    "d_linear",
    "lag_tst",
    "i_transformer",
)


def loading(**settings: Any) -> Loading:
    """How training batches are wanted."""
    defaults = {
        "is_single_pass": False,
        "generator": torch.Generator().manual_seed(SEED),
        "device": torch.device("cpu"),
        "name": "training_data",
    }
    return Loading(**{**defaults, **settings})


def served(estimator: Any, data: Any, **settings: Any) -> WindowLoader:
    series = estimator.create_transformation().apply(data, is_train=True)
    module = estimator.create_lightning_module()
    return estimator_windows(estimator, series, module, loading(**settings))


def any_loader(estimator: Any, data: Any, *, cache_data: bool = True, **settings: Any) -> Any:
    return data_loader(
        estimator,
        estimator.create_transformation(),
        data,
        estimator.create_lightning_module(),
        loading(**settings),
        cache_data=cache_data,
    )


def splitter_of(estimator: Any, mode: str = "training") -> Any:
    try:
        return estimator._create_instance_splitter(estimator.create_lightning_module(), mode)
    except TypeError:
        return estimator._create_instance_splitter(mode)


def same(own: dict[str, torch.Tensor], their: dict[str, torch.Tensor]) -> bool:
    return list(own) == list(their) and all(
        own[name].dtype == value.dtype
        and own[name].shape == value.shape
        and own[name].is_contiguous()
        and own[name].numpy().tobytes() == value.numpy().tobytes()
        for name, value in their.items()
    )


def by_gluonts(estimator: Any, data: Any, names: list[str], count: int) -> Iterator[Any]:
    """The batches that GluonTS's splitter and stacking make of the very windows of ``served``."""
    entries = list(estimator.create_transformation().apply(data, is_train=True))
    splitter = splitter_of(estimator)
    lengths = torch.tensor([entry["target"].shape[-1] for entry in entries])
    generator = torch.Generator().manual_seed(SEED)
    stream = window_stream(splitter.instance_sampler, lengths, generator)
    windows = stream.take(16_384 // estimator.batch_size * estimator.batch_size)

    def instances() -> Iterator[Any]:
        for series, split in zip(windows.series.tolist(), windows.split.tolist(), strict=True):
            splitter.instance_sampler = lambda target, split=split: [split]
            yield from splitter.flatmap_transform(entries[series].copy(), True)

    batches = as_stacked_batches(
        instances(), batch_size=estimator.batch_size, field_names=names, output_type=torch.tensor
    )
    return itertools.islice(batches, count)


def check_equal_to_gluonts(estimator: Any, data: Any, count: int = 20) -> None:
    loader = served(estimator, data)
    own = list(itertools.islice(_endless(loader), count))
    their = list(by_gluonts(estimator, data, list(own[0]), count))
    assert len(own) == len(their) == count
    assert all(same(mine, other) for mine, other in zip(own, their, strict=True))
    module = estimator.create_lightning_module()
    assert torch.isfinite(torch.as_tensor(module.training_step(own[0], 0)))


def _endless(loader: WindowLoader) -> WindowLoader:
    loader.batches_per_epoch = None
    return loader


@pytest.fixture
def data(series: ListDataset, multivariate: ListDataset) -> Callable[[str], ListDataset]:
    def choose(name: str) -> ListDataset:
        return multivariate if name == "i_transformer" else series

    return choose


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_of_every_estimator_are_gluonts(
    tiny: Callable[..., Any], data: Callable[[str], ListDataset], name: str
) -> None:
    check_equal_to_gluonts(tiny(name), data(name))


@pytest.fixture
def featured() -> ListDataset:
    """Series with every kind of feature, one too short for a window, one of nothing but gaps."""
    rng = np.random.default_rng(3)
    entries = []
    for number, length in enumerate([30, 3, 50, 17]):
        target = rng.gamma(2.0, size=length)
        target[5:9] = np.nan
        if number == 3:
            target[:] = np.nan
        entries.append(
            {
                "item_id": f"series-{number}",
                "start": "2021-03-01",
                "target": target,
                "feat_static_cat": [number % 2],
                "feat_static_real": rng.normal(size=2),
                "feat_dynamic_real": rng.normal(size=(2, length)),
                "feat_dynamic_cat": rng.integers(3, size=(1, length)),
                "past_feat_dynamic_real": rng.normal(size=(1, length)),
            }
        )
    return ListDataset(entries, freq="D")


def featured_deepar(**settings: Any) -> DeepAREstimator:
    defaults: dict[str, Any] = {
        "freq": "D",
        "prediction_length": HORIZON,
        "context_length": 9,
        "lags_seq": [1, 7],
        "hidden_size": 4,
        "batch_size": 6,
        "num_feat_static_cat": 1,
        "cardinality": [2],
        "num_feat_static_real": 2,
        "num_feat_dynamic_real": 2,
    }
    return DeepAREstimator(**{**defaults, **settings})


def test_batches_with_every_feature(featured: ListDataset) -> None:
    # Padding of a gamma head is not 0, and the sampler leaves more points than it must.
    sampler = ExpectedNumInstanceSampler(num_instances=2.0, min_past=2, min_future=HORIZON + 3)
    check_equal_to_gluonts(featured_deepar(), featured)
    estimator = featured_deepar(distr_output=GammaOutput(), train_sampler=sampler)
    check_equal_to_gluonts(estimator, featured)


@pytest.mark.parametrize("dynamic", [False, True])
def test_batches_of_a_temporal_fusion_transformer_with_features(
    featured: ListDataset, dynamic: bool
) -> None:
    options = {"dynamic_cardinalities": [3], "past_dynamic_dims": [1]} if dynamic else {}
    estimator = TemporalFusionTransformerEstimator(
        freq="D",
        prediction_length=HORIZON,
        # With the long one there is no room in front of each series: integers are masked too.
        context_length=40 if dynamic else 9,
        hidden_dim=4,
        variable_dim=4,
        num_heads=2,
        distr_output=StudentTOutput(),
        static_cardinalities=[2],
        static_dims=[2],
        dynamic_dims=[2],
        batch_size=6,
        **options,
    )
    check_equal_to_gluonts(estimator, featured)


class WithGap(DeepAREstimator):
    """Forecasts start two steps later, time is the last axis, and padding is told."""

    def _create_instance_splitter(self, module: Any, mode: str) -> Any:
        splitter = super()._create_instance_splitter(module, mode)
        arguments = {**splitter.__init_args__, "lead_time": 2, "output_NTC": False}
        arguments["dummy_value"] = 1.5
        return InstanceSplitter(**arguments)

    def create_training_data_loader(self, data: Any, module: Any, **kwargs: Any) -> Any:
        names = ["past_is_pad", "past_time_feat", "past_target", "future_target"]
        windows = self._create_instance_splitter(module, "training").apply(
            _again_and_again(data), is_train=True
        )
        return as_stacked_batches(
            windows,
            batch_size=self.batch_size,
            field_names=names,
            output_type=torch.tensor,
            num_batches_per_epoch=self.num_batches_per_epoch,
        )


def _again_and_again(data: Any) -> Iterator[Any]:
    while True:
        yield from data


@pytest.mark.parametrize("context", [3, 80])
def test_lead_time_layout_padding_and_their_dummy_value(series: ListDataset, context: int) -> None:
    sampler = NumInstanceSampler(N=2, min_past=0, min_future=HORIZON + 2)
    estimator = WithGap(
        freq="h",
        prediction_length=HORIZON,
        context_length=context,
        lags_seq=[1],
        batch_size=5,
        train_sampler=sampler,
    )
    loader = _endless(served(estimator, series))
    # Both ways to show what lies before a series: room in front of each, and masks.
    assert loader.cutter.store.is_padded == (context == 3)
    own = list(itertools.islice(loader, 40))
    their = list(by_gluonts(estimator, series, list(own[0]), 40))
    assert all(same(mine, other) for mine, other in zip(own, their, strict=True))
    padded = torch.cat([batch["past_is_pad"] for batch in own])
    assert 0 < padded.mean() < 1
    assert (torch.cat([batch["past_target"] for batch in own])[padded == 1] == 1.5).all()
    time_feature = own[0]["past_time_feat"]
    assert time_feature.shape[0::2] == (5, context)


@pytest.mark.parametrize("name", [*NETWORKS])
def test_validation_batches_are_gluonts_at_every_pass(
    tiny: Callable[..., Any], data: Callable[[str], ListDataset], name: str
) -> None:
    estimator = tiny(name, batch_size=2)
    series = estimator.create_transformation().apply(data(name), is_train=True)
    module = estimator.create_lightning_module()
    loader = served(estimator, data(name), is_single_pass=True)
    their = list(estimator.create_validation_data_loader(series, module))
    assert sum(len(batch["past_target"]) for batch in their) == len(data(name))
    for _ in range(2):
        own = list(loader)
        assert len(own) == len(their)
        assert all(same(mine, other) for mine, other in zip(own, their, strict=True))


def test_random_validation_windows_are_the_same_at_every_pass(
    tiny: Callable[..., Any], series: ListDataset
) -> None:
    sampler = NumInstanceSampler(N=5, min_future=HORIZON)
    estimator = tiny("deepar", validation_sampler=sampler)
    loader = served(estimator, series, is_single_pass=True)
    first, second = list(loader), list(loader)
    assert sum(len(batch["past_target"]) for batch in first) == 15
    assert all(same(one, other) for one, other in zip(first, second, strict=True))


def test_epochs_go_on_where_the_last_one_stopped(
    tiny: Callable[..., Any], series: ListDataset
) -> None:
    epochs = served(tiny("deepar", num_batches_per_epoch=3), series)
    endless = itertools.islice(_endless(served(tiny("deepar"), series)), 9)
    own = [list(epochs) for _ in range(3)]
    assert [len(epoch) for epoch in own] == [3, 3, 3]
    flat = [batch for epoch in own for batch in epoch]
    assert all(same(one, other) for one, other in zip(flat, endless, strict=True))


def test_windows_depend_on_the_seed_only(
    tiny: Callable[..., Any], series: ListDataset, unchanged_global_random_state: None
) -> None:
    # Building the network does draw from global state: it is no part of the loader.
    estimator = tiny("simple_feedforward")
    module = copy.deepcopy(_module(estimator))
    transformed = estimator.create_transformation().apply(series, is_train=True)

    def batches(seed: int, shuffled: int | None = None) -> list[bytes]:
        wanted = loading(
            generator=torch.Generator().manual_seed(seed), shuffle_buffer_length=shuffled
        )
        loader = estimator_windows(estimator, transformed, module, wanted)
        return [batch["past_target"].numpy().tobytes() for batch in loader]

    for shuffled in (None, 10):
        assert batches(0, shuffled) == batches(0, shuffled) != batches(1, shuffled)
    assert batches(0, None) != batches(0, 10)


def _module(estimator: Any) -> Any:
    with torch.random.fork_rng():
        return estimator.create_lightning_module()


def test_the_estimator_stays_as_it_is(tiny: Callable[..., Any], series: ListDataset) -> None:
    sampler = ExpectedNumInstanceSampler(num_instances=1.0, min_future=HORIZON)
    estimator = tiny("deepar", train_sampler=sampler)
    before = dict(estimator.__dict__)
    list(served(estimator, series))
    assert estimator.__dict__ == before
    assert (sampler.n, sampler.total_length) == (0, 0)


class Scaled(DeepAREstimator):
    """Changes its batches after they are cut."""

    def create_training_data_loader(self, data: Any, module: Any, **kwargs: Any) -> Any:
        loader = super().create_training_data_loader(data, module, **kwargs)
        return IterableSlice(map(self.scaled, iter(loader)), loader.length)

    @staticmethod
    def scaled(batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, "future_target": batch["future_target"] * (1 + 1e-6)}


class Finite(DeepAREstimator):
    """Goes through its series once."""

    def create_training_data_loader(self, data: Any, module: Any, **kwargs: Any) -> Any:
        windows = self._create_instance_splitter(module, "training").apply(data)
        names = ["past_target"]
        return as_stacked_batches(
            windows, batch_size=self.batch_size, field_names=names, output_type=torch.tensor
        )


class ALoader(DeepAREstimator):
    def create_training_data_loader(self, data: Any, module: Any, **kwargs: Any) -> Any:
        return list(super().create_training_data_loader(data, module, **kwargs))


class Failing(DeepAREstimator):
    def create_training_data_loader(self, data: Any, module: Any, **kwargs: Any) -> Any:
        raise KeyError("some field")


class NoSplitter(DeepAREstimator):
    _create_instance_splitter = None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Scaled, "'future_target' would differ"),
        (Finite, "stops after 1 batches of 15"),
        (ALoader, "its loader is a list"),
        (Failing, "fails on chosen windows: 'some field'"),
        (NoSplitter, "NoSplitter has no _create_instance_splitter"),
    ],
)
def test_other_loaders_are_left_alone(
    series: ListDataset, kind: type[PyTorchLightningEstimator], reason: str
) -> None:
    estimator = kind(freq="h", prediction_length=HORIZON, lags_seq=[1], num_batches_per_epoch=3)
    plain = DeepAREstimator(freq="h", prediction_length=HORIZON, lags_seq=[1])
    module = plain.create_lightning_module()
    transformed = plain.create_transformation().apply(series, is_train=True)
    with pytest.raises(NotServedError, match=reason):
        estimator_windows(estimator, transformed, module, loading())


def test_a_sampler_that_lets_windows_end_early_is_left_to_gluonts(
    tiny: Callable[..., Any], series: ListDataset
) -> None:
    sampler = NumInstanceSampler(N=1, min_future=HORIZON - 1)
    with pytest.raises(NotServedError, match="min_future=3"):
        served(tiny("deepar", train_sampler=sampler), series)


def test_wavenet_has_more_than_a_splitter(tiny: Callable[..., Any], series: ListDataset) -> None:
    with pytest.raises(NotServedError, match=r"InstanceSplitter \+ QuantizeMeanScaled"):
        served(tiny("wavenet"), series)


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        ("feat_static_cat", [[0], [1, 1], [0], [1]], "differs in type or shape"),
        ("feat_static_real", ["a", "b", "c", "d"], "'feat_static_real'|chosen windows"),
    ],
)
def test_fields_that_cannot_be_stored(field: str, values: list[Any], reason: str) -> None:
    entries = [{"start": "2021-01-01", "target": np.arange(30.0), field: value} for value in values]

    class Untouched(DeepAREstimator):
        def create_transformation(self) -> Any:
            transformation = super().create_transformation()
            kept = [t for t in transformation.transformations if getattr(t, "field", "") != field]
            transformation.transformations = [
                t for t in kept if getattr(t, "output_field", "") != field
            ]
            transformation.transformations[0].field_names = []
            return transformation

    estimator = Untouched(freq="D", prediction_length=HORIZON, lags_seq=[1])
    for entry in entries:
        if not isinstance(entry[field], str):
            entry[field] = np.array(entry[field])
    with pytest.raises(NotServedError, match=reason):
        served(estimator, _WithPeriods(entries))


class _WithPeriods(list):
    """Entries as GluonTS's datasets give them, without a look at their fields."""

    def __iter__(self) -> Iterator[Any]:
        import pandas as pd

        for entry in super().__iter__():
            start = pd.Period(entry["start"], "D")
            yield {**entry, "start": start, "target": entry["target"].astype(np.float32)}


class Counted(list):
    """A dataset that counts how many of its series were read."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        for entry in super().__iter__():
            self.reads += 1
            yield entry


@pytest.fixture
def many() -> Counted:
    rng = np.random.default_rng(0)
    entries = [{"start": "2021-01-01", "target": rng.normal(size=30)} for _ in range(400)]
    return Counted(ListDataset(entries, freq="h"))


def test_memory_that_does_not_suffice_means_streaming(
    tiny: Callable[..., Any], many: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsbnn")
    not_served._said.clear()
    estimator = tiny("deepar", num_batches_per_epoch=250)
    # A series has 30 points of seven float32, and statics of 12 bytes.
    limit = 150 * (30 * 7 * 4 + 12)
    loader = any_loader(estimator, many, memory_limit=limit)
    assert isinstance(loader, IterableSlice)
    assert many.reads == 151
    assert "more than 0.1 MiB (after 151 of them)" in caplog.text
    assert len(caplog.records) == 1
    # Nothing is kept: an epoch of 1,000 windows reads its 400 series again and again.
    many.reads = 0
    assert len(list(loader)) == 250
    assert many.reads > 2 * len(many)
    assert isinstance(any_loader(estimator, many, memory_limit=3 * limit), WindowLoader)


def test_without_cache_data_nothing_is_kept_and_nothing_said(
    tiny: Callable[..., Any], many: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsbnn")
    loader = any_loader(tiny("deepar"), many, cache_data=False)
    assert isinstance(loader, IterableSlice)
    assert many.reads == 0
    assert len(list(loader)) == 3
    assert 0 < many.reads < 100
    assert caplog.records == []


def test_why_gluonts_loader_is_used_is_said_once(
    tiny: Callable[..., Any], many: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsbnn")
    not_served._said.clear()
    sampler = ExpectedNumInstanceSampler(num_instances=1, min_instances=1, min_future=HORIZON)
    estimator = tiny("deepar", train_sampler=sampler, num_batches_per_epoch=250)
    for _ in range(2):
        loader = any_loader(estimator, many)
        assert isinstance(loader, IterableSlice)
    assert [record.getMessage() for record in caplog.records] == [
        "windows come from GluonTS's own, slower loader: "
        "ExpectedNumInstanceSampler has min_instances=1"
    ]
    # Transformed series are kept: later epochs read none.
    list(loader)
    many.reads = 0
    list(loader)
    assert many.reads == 0


@pytest.mark.parametrize("cache_data", [True, False])
def test_gluonts_validation_windows_are_the_same_at_every_pass(
    tiny: Callable[..., Any], series: ListDataset, cache_data: bool
) -> None:
    estimator = tiny("wavenet", validation_sampler=NumInstanceSampler(N=3, min_future=HORIZON))
    loader = any_loader(estimator, series, cache_data=cache_data, is_single_pass=True)
    first, second = ([batch["past_target"] for batch in loader] for _ in range(2))
    assert sum(map(len, first)) == 9
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("is_single_pass", [False, True])
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([], "training_data is empty"),
        ([3, 1, 2], "training_data has no window: none of its 3 series .* longest has 3 points"),
    ],
)
def test_no_window_is_an_error(
    tiny: Callable[..., Any], lengths: list[int], message: str, is_single_pass: bool
) -> None:
    entries = [{"start": "2021-01-01", "target": np.ones(length)} for length in lengths]
    estimator = tiny("deepar", train_sampler=NumInstanceSampler(N=1, min_future=HORIZON))
    with pytest.raises(ValueError, match=message):
        any_loader(estimator, ListDataset(entries, freq="h"), is_single_pass=is_single_pass)


def test_free_memory() -> None:
    assert 2**20 < free_memory.free_host_memory() < 2**50
    assert free_memory.default_limit() == pytest.approx(free_memory.free_host_memory() / 4, rel=0.2)
    assert free_memory.fits_device(2**60, torch.device("cpu"))
    assert not free_memory.fits_device(8, torch.device("mps"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", NETWORKS)
def test_batches_on_the_device_equal_those_of_the_cpu(
    tiny: Callable[..., Any], data: Callable[[str], ListDataset], name: str
) -> None:
    own = list(served(tiny(name), data(name)))
    device = torch.device("cuda", 0)
    on_device = list(served(tiny(name), data(name), device=device))
    for batch, other in zip(own, on_device, strict=True):
        assert {value.device for value in other.values()} == {device}
        assert same(batch, {key: value.cpu() for key, value in other.items()})


@pytest.mark.skipif(not free_memory._MEMINFO.exists(), reason="containers of Linux")
def test_memory_left_to_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that it has read do not count: their memory is free when it is wanted."""
    without = free_memory.free_host_memory()
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.current").write_text("9000\n")
    (tmp_path / "memory.stat").write_text("anon 5000\nfile 4000\ninactive_file 3000\n")
    (tmp_path / "memory.max").write_text("10000\n")
    assert free_memory.free_host_memory() == 4000
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.stat").write_text("")
    assert free_memory.free_host_memory() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.free_host_memory() == pytest.approx(without, rel=0.2)
