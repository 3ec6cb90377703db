"""Training that goes on from an earlier posterior, which becomes the prior."""

from __future__ import annotations

import copy
import warnings

from torch import nn
from torch.nn.utils import parameters_to_vector

from tsbnn.forecasting.predictor import BayesianPredictor
from tsbnn.forecasting.weights_fit import check_weights_fit
from tsbnn.inference import METHODS, CentredPrior, InferenceMethod, PointMass, PosteriorMethod


def continued(
    method: InferenceMethod, network: nn.Module, predictor: BayesianPredictor
) -> InferenceMethod:
    """Put the old posterior's mean into the network, and the posterior in the prior's place."""
    if not isinstance(predictor, BayesianPredictor):
        raise TypeError(
            "train_from needs the predictor of a BayesianEstimator, "
            f"not {type(predictor).__name__}: another has no posterior"
        )
    old = predictor.prediction_net.network
    check_weights_fit(old, network)
    network.load_state_dict(old.state_dict())
    posterior = copy.deepcopy(predictor.posterior).cpu()
    trained_by = METHODS.get(predictor.training_summary.get("inference", ""))
    if trained_by is not None and not trained_by.is_posterior:
        # Its spread is that of masks, members or a path, and no belief that data have formed. The
        # network holds the mean, or after an ensemble a member: no average that nobody trained.
        trained = [weight for weight in network.parameters() if weight.requires_grad]
        posterior = PointMass(parameters_to_vector(trained).detach())
    now = 1.0
    if isinstance(method, PosteriorMethod):
        if method.temperature == "auto":
            # What the old posterior knows comes on top of the new observations.
            method = method.replace(temperature=1.0)
        else:
            now = method.temperature
    before = predictor.training_summary.get("temperature", 1.0)
    if before != 1 and now != 1:
        # Above stand `_train`, `train`, `train_model` and `train_from`, then the caller.
        warnings.warn(
            f"the old posterior was trained at temperature {before:g} and is now a prior at "
            f"temperature {now:g}: it is tempered twice, so that its data count "
            f"{1 / (before * now):g}-fold and the new ones {1 / now:g}-fold. Train from it with "
            "temperature=1",
            UserWarning,
            stacklevel=6,
        )
    return method.replace(prior=CentredPrior.from_posterior(posterior, network, method.prior))
