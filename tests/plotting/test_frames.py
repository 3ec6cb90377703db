"""Fan charts of forecasts in frames: the right rows, and what was observed beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from tests.evaluation.plots.marks import STEPS, bands, line
from tsbnn.plotting import plot_frame

BEGIN = pd.Timestamp("2024-03-01")


def forecasts(items: tuple[str, ...] = ("north", "south"), level: float = 10.0) -> pd.DataFrame:
    steps = np.arange(STEPS)
    parts = [
        pd.DataFrame(
            {
                "shop": item,
                "day": BEGIN + pd.to_timedelta(steps, unit="D"),
                "mean": level * place + steps,
                "median": level * place + steps + 0.1,
                "0.1": 0.0,
                "lo-80": level * place + steps - 2.0,
                "hi-80": level * place + steps + 2.0,
                "lo-95": level * place + steps - 3.0,
                "hi-95": level * place + steps + 3.0,
                "epistemic_std": 0.5,
                "aleatoric_std": 1.0,
            }
        )
        for place, item in enumerate(items, 1)
    ]
    return pd.concat(parts, ignore_index=True)


def sales(days: int = 60) -> pd.DataFrame:
    """Of both shops, shuffled, with the first three days of the horizon."""
    stamps = BEGIN + pd.to_timedelta(np.arange(3 - days, 3), unit="D")
    parts = [
        pd.DataFrame({"shop": item, "day": stamps, "sales": np.arange(days) + 100.0 * place})
        for place, item in enumerate(("north", "south"))
    ]
    return pd.concat(parts).sample(frac=1, random_state=0)


def test_it_draws_one_series_with_what_came_before_and_during(ax: Axes) -> None:
    assert plot_frame(forecasts(), sales(), series="south", smooth=1, unit="l", ax=ax) is ax
    found = bands(ax)
    assert set(found) == {"80 % interval", "95 % interval", "epistemic part"}
    np.testing.assert_allclose(found["95 % interval"][0], 20 + np.arange(STEPS) - 3.0)
    reach = 1.6448536 * 0.5
    np.testing.assert_allclose(found["epistemic part"][1], 20 + np.arange(STEPS) + reach)
    np.testing.assert_allclose(line(ax, "median").get_ydata(), 20 + np.arange(STEPS) + 0.1)
    observed = line(ax, "observed").get_ydata()
    np.testing.assert_array_equal(observed, [157, 158, 159, *[np.nan] * (STEPS - 3)])
    (past,) = [one for one in ax.get_lines() if len(one.get_xdata()) == 2 * STEPS]
    np.testing.assert_array_equal(past.get_ydata(), 157 - np.arange(2 * STEPS, 0, -1))
    assert ax.get_ylabel() == "south (l)"


def test_gaps_of_the_history_stay_open(ax: Axes) -> None:
    known = sales().query("shop == 'north'")
    gap = known["day"] == BEGIN - pd.Timedelta(days=2)
    plot_frame(forecasts(("north",)), known[~gap], ax=ax)
    (past,) = [one for one in ax.get_lines() if len(one.get_xdata()) == 2 * STEPS]
    np.testing.assert_array_equal(past.get_ydata()[-3:], [54, np.nan, 56])


def test_of_a_cross_validation_the_latest_cutoff_is_drawn(ax: Axes) -> None:
    parts = []
    for back, level in ((STEPS, 50.0), (0, 10.0)):
        part = forecasts(("north",), level)
        part["day"] -= pd.Timedelta(days=back)
        part.insert(2, "cutoff", part["day"].min() - pd.Timedelta(days=1))
        part.insert(3, "step", np.arange(1, STEPS + 1))
        part.insert(4, "sales", 7.0)
        parts.append(part)
    plot_frame(pd.concat(parts), sales(), steps_before=4, ax=ax)
    np.testing.assert_allclose(line(ax, "median").get_ydata(), 10 + np.arange(STEPS) + 0.1)
    np.testing.assert_array_equal(line(ax, "observed").get_ydata(), [7.0] * STEPS)
    assert any(len(one.get_xdata()) == 4 for one in ax.get_lines())


def test_one_series_needs_no_name_and_zones_are_clock_times(ax: Axes) -> None:
    frame = forecasts(("north",)).drop(columns="shop")
    frame["day"] = frame["day"].dt.tz_localize("UTC")
    history = sales().query("shop == 'north'").drop(columns="shop")
    history["day"] = history["day"].dt.tz_localize("UTC").astype(str)
    plot_frame(frame, history, ax=ax)
    assert line(ax, "observed").get_ydata()[0] == 57.0
    assert ax.get_ylabel() == "target"


@pytest.mark.parametrize("kind", ["index", "series", "periods", "german", "elsewhere"])
def test_histories_are_read_as_a_forecaster_reads_them(kind: str, ax: Axes) -> None:
    frame = forecasts(("north",)).drop(columns="shop")
    history = sales().query("shop == 'north'").drop(columns="shop")
    given = {
        "index": history.set_index("day"),
        "series": history.set_index("day")["sales"],
        "periods": history.assign(day=history["day"].dt.to_period("D")),
        "german": history.assign(day=history["day"].dt.strftime("%d.%m.%Y")),
        "elsewhere": history.assign(
            day=history["day"].dt.tz_localize("UTC").dt.tz_convert("Etc/GMT-2")
        ),
    }
    if kind == "elsewhere":
        frame["day"] = frame["day"].dt.tz_localize("UTC")
    plot_frame(frame, given[kind], ax=ax)
    np.testing.assert_array_equal(line(ax, "observed").get_ydata()[:4], [57, 58, 59, np.nan])


def test_no_epistemic_band_where_it_is_not_known(ax: Axes) -> None:
    plot_frame(forecasts(("north",)).assign(epistemic_std=np.nan), ax=ax)
    assert set(bands(ax)) == {"80 % interval", "95 % interval"}
    assert not [one for one in ax.get_lines() if one.get_label() == "observed"]


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda f: f, {}, "there are 2 series: choose one, as series='north'"),
        (lambda f: f, {"series": "west"}, "no series 'west'; the first is 'north'"),
        (lambda f: f.drop(columns="median"), {}, "it has no column 'median'"),
        (lambda f: f.iloc[:0], {}, "must be a frame of"),
        (lambda f: f.drop(columns=["shop", "day"]), {}, "its first columns are not known"),
        (lambda f: f, {"series": "north", "history": sales().drop(columns="shop")}, "shop"),
        (lambda f: f, {"series": "north", "steps_before": -1}, "steps_before must be at least 0"),
        (lambda f: f.drop(columns="shop"), {"series": "north"}, "the forecasts have no ids"),
        (
            lambda f: f,
            {"series": "north", "history": pd.concat([sales(), sales()])},
            "history has two rows at",
        ),
        (
            lambda f: f,
            {"series": "north", "history": sales(), "target": "sale"},
            "did you mean 'sales'",
        ),
        (
            lambda f: f,
            {"series": "north", "history": sales().assign(price=1.0)},
            r"columns of numbers \['sales', 'price'\]: name one",
        ),
    ],
)
def test_what_does_not_fit_is_told(change, arguments, message: str, ax: Axes) -> None:
    with pytest.raises(ValueError, match=message):
        plot_frame(change(forecasts()), **arguments, ax=ax)
