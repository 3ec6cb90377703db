"""A forecaster on disk: the folder of its predictor, with the parameters in the manifest."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Self

import pandas as pd

from tsbnn.forecaster.parameters import NotFittedError, Parameters
from tsbnn.forecasting import BayesianPredictor, ModelFormatError, load, save
from tsbnn.forecasting.storage import read_notes
from tsbnn.inference import InferenceMethod, from_dict


class Stored(Parameters):
    """What a :class:`tsbnn.Forecaster` keeps when it is fitted, and its way to disk and back."""

    predictor_: BayesianPredictor
    frame_: pd.DataFrame | pd.Series | None
    epistemic_share_: tuple[float, int] | None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model and the parameters to a folder; the data stay out.

        :func:`tsbnn.load` reads the predictor alone.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError
            For parameters that cannot be written, such as callbacks among ``trainer_kwargs``.
        """
        predictor, params = self._fitted(), self.get_params()
        if isinstance(params["inference"], InferenceMethod):
            params["inference"] = params["inference"].to_dict()
        share = None if self.epistemic_share_ is None else list(self.epistemic_share_)
        save(predictor, path, notes={"forecaster": {"params": params, "epistemic_share": share}})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: str | None = None,
        trusted: Collection[str] = (),
    ) -> Self:
        """Read what :meth:`save` wrote; arguments as those of :func:`tsbnn.load`.

        Raises
        ------
        ModelFormatError
            If the folder was written by :func:`tsbnn.save` of a predictor, or is damaged.
        FileNotFoundError
            If there is none.
        """
        note = read_notes(path, trusted).get("forecaster")
        if note is None:
            raise ModelFormatError(f"{path} holds a predictor and no forecaster: use tsbnn.load")
        params, share = note["params"], note["epistemic_share"]
        if isinstance(params["inference"], dict):
            params["inference"] = from_dict(params["inference"])
        forecaster = cls(**params)
        forecaster.predictor_ = load(path, device, trusted)
        forecaster.frame_ = None
        forecaster.epistemic_share_ = None if share is None else (float(share[0]), int(share[1]))
        return forecaster

    def _fitted(self) -> BayesianPredictor:
        if not hasattr(self, "predictor_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted: call fit(df) first")
        return self.predictor_
