"""The registered sets: shapes, first and last values, and splits in which nothing leaks."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from tsbnn.datasets import LoadedDataset, load, load_frame, specs
from tsbnn.datasets.downloading import sha256
from tsbnn.datasets.locations import bundled_folder

BUNDLED = [name for name, spec in specs().items() if spec.bundled]
PUBLIC = [name for name, spec in specs().items() if not spec.bundled]

# name: steps of the shortest series, start, first and last value of one series, that series
EXPECTED = {
    "seattle_weather": (1461, "2012-01-01", "temp_max", 12.8, 5.6),
    "co2": (2284, "1958-03-29", "co2", 316.1, 371.5),
    "elnino": (732, "1950-01", "sst", 23.11, 22.07),
    "us_macro": (203, "1959Q1", "realgdp", 2710.349, 12990.341),
    "exchange_rate": (6221, "1990-01-01", "AUD", 0.7855, None),
    "etth1": (14400, "2016-07-01 00:00", "OT", 30.5310001373291, None),
    "m4_hourly": (748, "1750-01-01 00:00", "H1", 605.0, 659.0),
    "vic_electricity": (26304, "2011-12-31 23:00", "demand", 4323.095350, 3785.648170),
    "nyc_taxi": (10320, "2014-07-01 00:00", "passengers", 10844.0, 26288.0),
}
TRAINING = {
    "seattle_weather": (1097, 733),
    "co2": (2180, 2076),
    "elnino": (612, 492),
    "us_macro": (163, 123),
    "exchange_rate": (6071, 5921),
    "etth1": (8640, 8640),
    "m4_hourly": (700, 652),
    "vic_electricity": (24960, 23616),
    "nyc_taxi": (8976, 7632),
}


def check(name: str, loaded: LoadedDataset) -> None:
    """Shape, values and split of a loaded set."""
    steps, start, item, first, last = EXPECTED[name]
    spec = specs()[name]
    assert loaded.spec is spec
    assert len(loaded.dataset) == spec.num_series
    assert loaded.dataset.lengths.min() == steps
    entry = loaded.dataset[loaded.dataset.item_ids.index(item)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of business-day periods
        assert entry["start"] == pd.Period(start, freq=entry["start"].freq)
    assert entry["target"][0] == pytest.approx(first, rel=1e-6)
    if last is not None:
        assert entry["target"][-1] == pytest.approx(last, rel=1e-6)
    assert loaded.freq == loaded.dataset.freq
    assert (loaded.prediction_length, loaded.stride) == (spec.prediction_length,) * 2
    assert (loaded.windows, loaded.validation_windows) == (spec.windows, spec.validation_windows)
    assert loaded.season == spec.season

    test_steps = loaded.windows * loaded.prediction_length
    tuning_steps = loaded.validation_windows * loaded.prediction_length
    lengths = loaded.dataset.lengths
    np.testing.assert_array_equal(loaded.validation.lengths, lengths - test_steps)
    np.testing.assert_array_equal(
        loaded.validation_training.lengths, lengths - test_steps - tuning_steps
    )
    assert loaded.training.lengths.min() == TRAINING[name][0]
    assert loaded.validation_training.lengths.min() == TRAINING[name][1]
    for part in (loaded.training, loaded.validation, loaded.validation_training):
        for i in {0, len(part) - 1}:
            target = part[i]["target"]
            np.testing.assert_array_equal(target, loaded.dataset[i]["target"][: len(target)])
            features = part[i].get("feat_dynamic_real")
            assert features is None or features.shape[1] == len(target)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets(name: str) -> None:
    check(name, load(name))


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_frames_are_tidy(name: str) -> None:
    frame = load_frame(name)
    assert list(frame.columns) == ["item_id", "timestamp", "target"]
    assert frame["timestamp"].dtype.kind == "M"
    assert not frame.duplicated(["item_id", "timestamp"]).any()


def test_co2_has_unobserved_weeks() -> None:
    assert np.isnan(load("co2").dataset[0]["target"]).sum() == 59


@pytest.mark.parametrize("name", PUBLIC)
def test_public_sets(name: str, data_dir: Path) -> None:
    check(name, load(name, root=data_dir))


def test_standard_splits(data_dir: Path) -> None:
    """Rows as the references count them, read from the files without the parsers."""
    exchange = load("exchange_rate", root=data_dir)
    table = pd.read_csv(data_dir / "exchange_rate/exchange_rate.txt.gz", header=None)
    currency = exchange.dataset.item_ids.index("SGD")
    np.testing.assert_array_equal(
        exchange.dataset[currency]["target"], table[7].to_numpy(np.float32)[:6221]
    )
    assert len(exchange.training[currency]["target"]) == 6071
    assert exchange.freq == "B"

    ett = load("etth1", root=data_dir)
    table = pd.read_csv(data_dir / "ett/ETTh1.csv")
    channel = ett.dataset.item_ids.index("MULL")
    expected = table["MULL"].to_numpy(np.float32)
    np.testing.assert_array_equal(ett.dataset[channel]["target"], expected[:14400])
    np.testing.assert_array_equal(ett.training[channel]["target"], expected[:8640])
    np.testing.assert_array_equal(ett.validation[channel]["target"], expected[:11520])

    m4 = load("m4_hourly", root=data_dir)
    test = pd.read_csv(data_dir / "m4/Hourly-test.csv", index_col=0)
    for entry in m4.dataset:
        np.testing.assert_array_equal(
            entry["target"][-48:], test.loc[entry["item_id"]].to_numpy(np.float32)
        )
    assert sorted(set(m4.training.lengths)) == [700, 960]


def test_electricity_has_its_covariates_in_local_standard_time(data_dir: Path) -> None:
    loaded = load("vic_electricity", root=data_dir)
    entry = loaded.dataset[0]
    temperature, holiday = entry["feat_dynamic_real"]
    raw = pd.read_csv(data_dir / "vic_electricity/vic_electricity.csv")
    half_hours = raw["Temperature"].to_numpy().reshape(-1, 2).mean(axis=1)
    fitted = half_hours[: len(loaded.validation_training[0]["target"])]
    np.testing.assert_allclose(
        temperature, (half_hours - fitted.mean()) / fitted.std(), rtol=1e-4, atol=1e-5
    )
    assert set(np.unique(holiday)) == {0.0, 1.0}
    # New Year's Day is in summer, so it begins at 23:00 standard time
    hours = pd.period_range(entry["start"], periods=26304)
    new_year = int(np.flatnonzero(hours == pd.Period("2012-12-31 23:00", "h"))[0])
    assert (holiday[new_year - 1], holiday[new_year]) == (0.0, 1.0)


def exporter() -> ModuleType:
    path = bundled_folder() / "export.py"
    if not path.is_file():
        pytest.skip("needs data/export.py of a checkout")
    spec = importlib.util.spec_from_file_location("tsbnn_data_export", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("seattle_weather", "vega_datasets"),
        ("co2", "statsmodels"),
        ("elnino", "statsmodels"),
        ("us_macro", "statsmodels"),
    ],
)
def test_the_export_gives_the_same_bytes(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package, reason="needs the source package: pip install 'tsbnn[export]'")
    module = exporter()
    monkeypatch.setattr(sys, "argv", ["export.py", str(tmp_path)])
    monkeypatch.setattr(module, "SETS", (getattr(module, name),))
    module.main()
    assert sha256(tmp_path / f"{name}.csv") == specs()[name].files[0].sha256


def test_the_readme_states_the_checksums() -> None:
    path = bundled_folder() / "README.md"
    if not path.is_file():
        pytest.skip("needs data/README.md of a checkout")
    text = path.read_text(encoding="utf-8")
    for name in BUNDLED:
        assert specs()[name].files[0].sha256 in text
    assert all(f"`{name}`" in text for name in specs())
