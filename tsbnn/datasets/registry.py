"""The registered datasets: bundled ones, and public ones that are downloaded on first use."""

from __future__ import annotations

import difflib

from tsbnn.datasets import parsers
from tsbnn.datasets.errors import UnknownDatasetError
from tsbnn.datasets.spec import DataFile, Spec

_GITHUB = "https://raw.githubusercontent.com"
_LSTNET = (
    f"{_GITHUB}/laiguokun/multivariate-time-series-data/7f402f185cc2435b5e66aed13a3b560ed142e023"
)
_ETT = f"{_GITHUB}/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07"
_M4 = f"{_GITHUB}/Mcompetitions/M4-methods/6c1067e5a57161249b17289a565178dc7a3fb3ca"
_SKFORECAST = f"{_GITHUB}/skforecast/skforecast-datasets/f8c3d7fe5ec41ef86f93e969c31ec4b469b7c949"
_NAB = f"{_GITHUB}/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140"

_BUNDLED = (
    Spec(
        name="seattle_weather",
        description="Daily weather in Seattle 2012-2015: temperatures (°C), wind (m/s), rain (mm)",
        source="https://github.com/vega/vega-datasets",
        licence="public domain (NOAA)",
        files=(
            DataFile(
                "seattle_weather.csv",
                "https://pypi.org/project/vega-datasets/0.9.0/",
                "680c0936bf8a6db96071d527fcc6a0cdc2462044b903d6c51f035cf51d34f093",
            ),
        ),
        parser=parsers.tidy,
        freq="D",
        season=365,
        num_series=4,
        prediction_length=14,
        windows=26,
        validation_windows=26,
        split="test: the last 26 fortnights (nearly all of 2015); validation: the 26 before",
        units={"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"},
        bundled=True,
    ),
    Spec(
        name="co2",
        description="Weekly CO2 at Mauna Loa 1958-2001 (ppm by volume), 59 weeks missing",
        source="https://www.statsmodels.org/stable/datasets/generated/co2.html",
        licence="public domain",
        files=(
            DataFile(
                "co2.csv",
                "https://pypi.org/project/statsmodels/",
                "5b7bb36f412a0d23c1a8460a8e5a79c6c7732eff2ba04ec1367ac8b07835490c",
            ),
        ),
        parser=parsers.tidy,
        freq="W-SAT",
        season=52,
        num_series=1,
        prediction_length=13,
        windows=8,
        validation_windows=8,
        split="test: the last 8 quarters of 13 weeks; validation: the 8 before",
        units={"co2": "ppm"},
        bundled=True,
    ),
    Spec(
        name="elnino",
        description="Monthly sea-surface temperature off Peru (Niño 1+2) 1950-2010 (°C)",
        source="https://www.statsmodels.org/stable/datasets/generated/elnino.html",
        licence="public domain (NOAA)",
        files=(
            DataFile(
                "elnino.csv",
                "https://pypi.org/project/statsmodels/",
                "295f9bc2c1d75cb5b5ab8d7cea6f3fda5d353c84a3a9e518fc450f8faf814c05",
            ),
        ),
        parser=parsers.tidy,
        freq="ME",
        season=12,
        num_series=1,
        prediction_length=12,
        windows=10,
        validation_windows=10,
        split="test: the years 2001-2010; validation: 1991-2000",
        units={"sst": "°C"},
        bundled=True,
    ),
    Spec(
        name="us_macro",
        description="Nine quarterly series of the US economy 1959-2009, seasonally adjusted",
        source="https://www.statsmodels.org/stable/datasets/generated/macrodata.html",
        licence="public domain (FRED, BLS)",
        files=(
            DataFile(
                "us_macro.csv",
                "https://pypi.org/project/statsmodels/",
                "5b60f8781e06fef67e75ae720358abd5276addc25373b0efc46119b17d4f41a7",
            ),
        ),
        parser=parsers.tidy,
        freq="QE-DEC",
        season=1,
        num_series=9,
        prediction_length=4,
        windows=10,
        validation_windows=10,
        split="test: the last 10 times 4 quarters (1999Q4-2009Q3); validation: the 10 before",
        bundled=True,
    ),
)

_PUBLIC = (
    Spec(
        name="exchange_rate",
        description="Daily exchange rates of eight currencies to the US dollar, 1990-2013",
        source="https://github.com/laiguokun/multivariate-time-series-data",
        licence="none stated (facts)",
        files=(
            DataFile(
                "exchange_rate/exchange_rate.txt.gz",
                f"{_LSTNET}/exchange_rate/exchange_rate.txt.gz",
                "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d",
            ),
        ),
        parser=parsers.exchange_rate,
        freq="B",
        season=1,
        num_series=8,
        prediction_length=30,
        windows=5,
        validation_windows=5,
        split="as GluonTS's exchange_rate_nips: trained on rows 0-6071, test rows 6071-6221 in "
        "5 windows of 30 business days; validation: rows 5921-6071",
    ),
    Spec(
        name="etth1",
        description="Hourly loads and oil temperature of a transformer station, 2016-2018",
        source="https://github.com/zhouhaoyi/ETDataset",
        licence="CC BY-ND 4.0",
        files=(
            DataFile(
                "ett/ETTh1.csv",
                f"{_ETT}/ETT-small/ETTh1.csv",
                "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
            ),
        ),
        parser=parsers.ett,
        freq="h",
        season=24,
        num_series=7,
        prediction_length=24,
        windows=120,
        validation_windows=120,
        split="trained on rows 0-8640, validation rows 8640-11520, test rows 11520-14400, each in "
        "windows of 24 hours that do not overlap; the test run does not train on the validation "
        "rows",
        trains_on_validation=False,
    ),
    Spec(
        name="m4_hourly",
        description="The 414 hourly series of the M4 competition, 748 or 1008 hours each",
        source="https://github.com/Mcompetitions/M4-methods",
        licence="none stated (Monash copy: CC BY 4.0)",
        files=(
            DataFile(
                "m4/Hourly-train.csv",
                f"{_M4}/Dataset/Train/Hourly-train.csv",
                "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
            ),
            DataFile(
                "m4/Hourly-test.csv",
                f"{_M4}/Dataset/Test/Hourly-test.csv",
                "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
            ),
        ),
        parser=parsers.m4,
        freq="h",
        season=24,
        num_series=414,
        prediction_length=48,
        windows=1,
        validation_windows=1,
        split="test: the competition's 48 hours; validation: the last 48 of the training part",
    ),
    Spec(
        name="vic_electricity",
        description="Hourly electricity demand in Victoria 2012-2014 (MW), temperature, holidays",
        source="https://github.com/skforecast/skforecast-datasets",
        licence="BSD-3-Clause",
        files=(
            DataFile(
                "vic_electricity/vic_electricity.csv",
                f"{_SKFORECAST}/data/vic_electricity.csv",
                "6fa81bc3552f8822e984900f727584b82b3f10f41d78a1a0cdda2879a29a122e",
            ),
        ),
        parser=parsers.vic_electricity,
        freq="h",
        season=168,
        num_series=1,
        prediction_length=24,
        windows=56,
        validation_windows=56,
        split="test: the last 8 weeks in days; validation: the 8 weeks before",
        known_covariates=("temperature", "holiday"),
    ),
    Spec(
        name="nyc_taxi",
        description="Taxi passengers in New York per half hour, July 2014 to January 2015",
        source="https://github.com/numenta/NAB",
        licence="MIT",
        files=(
            DataFile(
                "nab/nyc_taxi.csv",
                f"{_NAB}/data/realKnownCause/nyc_taxi.csv",
                "d8fa6f7f0734bf5c8be12c52a94e20a82664c397d9dec4449156bd453d32856d",
            ),
        ),
        parser=parsers.nyc_taxi,
        freq="30min",
        season=336,
        num_series=1,
        prediction_length=48,
        windows=28,
        validation_windows=28,
        split="test: the last 28 days, day by day; validation: the 28 days before",
    ),
)

_SPECS = {spec.name: spec for spec in (*_BUNDLED, *_PUBLIC)}


def specs() -> dict[str, Spec]:
    """Every registered dataset by name, the bundled ones first."""
    return dict(_SPECS)


def find_spec(name: str) -> Spec:
    """The dataset of that name.

    Raises
    ------
    UnknownDatasetError
        If there is none; the message lists those there are.
    """
    if name in _SPECS:
        return _SPECS[name]
    close = difflib.get_close_matches(str(name), _SPECS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownDatasetError(
        f"no dataset is named {name!r}; {hint}Bundled: {', '.join(s.name for s in _BUNDLED)}; "
        f"downloaded on first use: {', '.join(s.name for s in _PUBLIC)}. A frame of your own: "
        "from_frame."
    )
