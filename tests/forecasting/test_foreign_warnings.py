"""Training and prediction keep other libraries' notices from the user, and no other warning."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from lightning.pytorch.callbacks import Callback

from tsbnn.forecasting import BayesianEstimator


class Warner(Callback):
    """Warns of something of its own, in the words of others too."""

    def on_train_start(self, trainer, pl_module) -> None:
        warnings.warn("the callback's own", UserWarning, stacklevel=1)
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated", stacklevel=1
        )


@pytest.mark.parametrize("freq", ["h", "B", "M"])
def test_only_notices_of_other_libraries_about_themselves_are_kept_back(freq, tiny) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = pd.Period("2021-01-01", freq)
    data = [{"start": start, "target": np.sin(np.arange(90.0))}]
    wrapped = tiny("deepar", freq=freq, dropout_rate=0.0, trainer_kwargs={"callbacks": [Warner()]})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        estimator = BayesianEstimator(wrapped, num_draws=2, num_samples=4)
        forecasts = estimator.train(data, data).predict(data)
        before = list(warnings.filters)
        next(forecasts)
        assert warnings.filters == before, "a forecast changes the caller's filters"
        list(forecasts)
    messages = [str(warning.message) for warning in said]
    assert messages[0] == "the callback's own"
    assert len(messages) == 2, messages
    assert {warning.filename for warning in said} == {__file__}
