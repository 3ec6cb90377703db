"""One Bayesian training run: data loaders, trainer, posterior, predictor, all under one seed."""

from __future__ import annotations

import copy
import functools
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lightning.pytorch as pl
import torch
from gluonts.dataset.common import Dataset
from gluonts.torch.model.estimator import TrainOutput
from gluonts.transform import Transformation
from torch import nn
from torch.utils.data import DataLoader

from tsbnn.datasets import FrameDataset, FrameSchema
from tsbnn.forecasting.batch_sums import batch_sums
from tsbnn.forecasting.checkpoints import same_network
from tsbnn.forecasting.compiled import check_compiler, compiled_sums, without_validation
from tsbnn.forecasting.continued import continued
from tsbnn.forecasting.estimators.check_fields import check_as_told
from tsbnn.forecasting.estimators.maximum_likelihood import MaximumLikelihoodEstimator
from tsbnn.forecasting.inputs import check_dataset
from tsbnn.forecasting.kept_memory import keep_freed_memory
from tsbnn.forecasting.lightning_module import (
    BayesianLightningModule,
    ValidatedLightningModule,
)
from tsbnn.forecasting.likelihood import check_network
from tsbnn.forecasting.observed import count_observed, points_of_a_window
from tsbnn.forecasting.posterior_network import PosteriorNetwork
from tsbnn.forecasting.prediction.paths import check_paths
from tsbnn.forecasting.predictor import BayesianPredictor
from tsbnn.forecasting.seeds import GivingWay, derived_seed, fresh_seed, generator
from tsbnn.forecasting.settings import plan_steps, trainer_settings
from tsbnn.forecasting.time_limit import TRIAL_STEPS, plan_time
from tsbnn.forecasting.windows import Loading, WindowLoader, data_loader
from tsbnn.foreign.notices import without_foreign_warnings
from tsbnn.foreign.random_state import RandomStream
from tsbnn.inference import (
    BayesianOptimizer,
    PosteriorWarning,
    count_weights,
)
from tsbnn.networks.checks import check_whole

if TYPE_CHECKING:
    from tsbnn.forecasting.estimator import BayesianEstimator

Module = TypeVar("Module", bound=BayesianLightningModule)
_WEIGHT_NOISE, _VALIDATION, _LAST_PASS, _WINDOWS, _TRIAL = 11, 12, 13, 14, 15


def train(
    bayesian: BayesianEstimator,
    training_data: Dataset,
    validation_data: Dataset | None,
    *,
    from_predictor: BayesianPredictor | None,
    shuffle_buffer_length: int | None,
    cache_data: bool,
    cache_limit: int | None,
    ckpt_path: str | None,
) -> TrainOutput:
    """Train; see :meth:`tsbnn.forecasting.BayesianEstimator.train`."""
    started = time.perf_counter()
    check_dataset(training_data, "training_data")
    if validation_data is not None:
        check_dataset(validation_data, "validation_data")
    elif bayesian.stop_after is not None:
        raise ValueError(
            f"stop_after={bayesian.stop_after} stops by the validation loss: pass validation_data"
        )
    if bayesian.time_limit is not None and ckpt_path is not None:
        raise ValueError("time_limit plans a training from its beginning: leave ckpt_path out")
    if cache_limit is not None:
        check_whole(cache_limit, "cache_limit")
    if from_predictor is None:
        bayesian = bayesian.adapted_to(training_data)
    else:
        bayesian = bayesian.adapted_like(from_predictor)
    needed = points_of_a_window(bayesian.estimator)
    head = getattr(bayesian.estimator, "distr_output", None)
    observed = count_observed(training_data, needed, head)
    # Above stand `train_model` and `train` of the estimator, then the caller.
    observed.warn_of_short(needed, stacklevel=4)
    if not isinstance(bayesian.estimator, MaximumLikelihoodEstimator):
        for data in (training_data, validation_data or ()):
            check_as_told(bayesian.estimator, data)
    seed = fresh_seed() if bayesian.seed is None else bayesian.seed
    keep_freed_memory()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tsbnn-")))
        # A caller's inference mode would leave nothing to differentiate.
        stack.enter_context(torch.inference_mode(False))
        stream = RandomStream(seed)
        stack.enter_context(stream.active())
        stack.enter_context(without_foreign_warnings())
        if bayesian.compile:
            stack.enter_context(without_validation())
        output = _train(
            bayesian,
            training_data,
            validation_data,
            from_predictor,
            {"shuffle_buffer_length": shuffle_buffer_length, "memory_limit": cache_limit},
            cache_data,
            ckpt_path,
            seed,
            stream,
            folder,
            bayesian.num_observations or observed.points,
            started,
        )
    for sentence in output.predictor.training_summary["diagnostics"]["warnings"]:
        warnings.warn(sentence, PosteriorWarning, stacklevel=4)
    return output


def _train(
    bayesian: BayesianEstimator,
    training_data: Dataset,
    validation_data: Dataset | None,
    from_predictor: BayesianPredictor | None,
    loading: dict[str, Any],
    cache_data: bool,
    ckpt_path: str | None,
    seed: int,
    stream: RandomStream,
    folder: Path,
    num_observations: int,
    started: float,
) -> TrainOutput:
    estimator = _twin(bayesian.estimator)
    method = bayesian.inference
    settings = trainer_settings(estimator, method, folder)
    settings["callbacks"].append(GivingWay(stream))
    total_steps = plan_steps(
        settings,
        dict(getattr(estimator, "__init_args__", {}).get("trainer_kwargs") or {}),
        getattr(estimator, "num_batches_per_epoch", None),
        method,
        bayesian.gradient_evaluations,
        goes_on=ckpt_path is not None,
    )
    transformation = estimator.create_transformation()
    gluonts_module = estimator.create_lightning_module()
    network = check_network(gluonts_module)
    check_paths(network)
    if from_predictor is not None:
        method = continued(method, network, from_predictor)
    trainer = pl.Trainer(**settings)
    device = trainer.strategy.root_device
    if bayesian.compile:
        check_compiler(device)
    wanted = Loading(
        is_single_pass=False,
        generator=generator(derived_seed(seed, _WINDOWS)),
        device=device,
        name="training_data",
        **loading,
    )
    load = functools.partial(
        data_loader,
        estimator=estimator,
        transformation=transformation,
        module=gluonts_module,
        cache_data=cache_data,
    )
    batches = load(data=training_data, loading=wanted)

    def lightning_module(kind: type[Module], network: nn.Module, steps: int | None) -> Module:
        noise = generator(derived_seed(seed, _WEIGHT_NOISE))
        way = "loop" if bayesian.compile else bayesian.draw_evaluation
        return kind(network, method, num_observations, steps, noise, way)

    if bayesian.time_limit is not None:
        trial = lightning_module(BayesianLightningModule, copy.deepcopy(network), TRIAL_STEPS)
        deadline = started + bayesian.time_limit
        # What is drawn and taken for the trial, the training finds where it was.
        with RandomStream(derived_seed(seed, _TRIAL)).active():
            taken = (
                DataLoader(batches.peek(TRIAL_STEPS), batch_size=None)  # type: ignore[arg-type]
                if isinstance(batches, WindowLoader)
                else load(data=training_data, loading=wanted, estimator=_twin(estimator))
            )
            total_steps = plan_time(settings, trial, taken, method, total_steps, deadline)
        trainer = pl.Trainer(**settings)
    kind = BayesianLightningModule if validation_data is None else ValidatedLightningModule
    module = lightning_module(kind, network, total_steps)
    if isinstance(module, ValidatedLightningModule):
        module.stop_after = bayesian.stop_after
    if bayesian.compile:
        module.sums = compiled_sums(network, device)
    validation = None
    if validation_data is not None:
        wanted = wanted._replace(
            is_single_pass=True,
            generator=generator(derived_seed(seed, _VALIDATION)),
            name="validation_data",
        )
        validation = load(data=validation_data, loading=wanted)
    with same_network(trainer, estimator, ckpt_path):
        trainer.fit(module, batches, validation, ckpt_path=ckpt_path)
    module.sums = batch_sums
    if isinstance(module, ValidatedLightningModule) and validation is not None:
        module.validate_last(validation)
    if method.last_pass:
        # Lightning has taken the network back from the accelerator.
        module.to(device)
    with RandomStream(derived_seed(seed, _LAST_PASS)).active():
        optimizer = module.finish(_again_and_again(batches))
    summary = _summary(bayesian, module, optimizer, trainer, seed)
    summary["wall_s"] = time.perf_counter() - started
    schema = training_data.schema if isinstance(training_data, FrameDataset) else None
    predictor = _predictor(
        bayesian, transformation, gluonts_module, optimizer, summary, seed, schema
    )
    return TrainOutput(
        transformation=transformation,
        trained_net=module,
        trainer=trainer,
        predictor=predictor.to(_device(trainer)),
    )


def _twin(estimator: Any) -> Any:
    """The same estimator with a sampler of its own: GluonTS's learn from the series they see."""
    twin = copy.copy(estimator)
    if hasattr(estimator, "train_sampler"):
        twin.train_sampler = copy.deepcopy(estimator.train_sampler)
    return twin


def _again_and_again(loader: Iterable[Any]) -> Iterator[Any]:
    """Batches of a loader, epoch after epoch; an epoch without any is the last."""
    is_empty = False
    while not is_empty:
        is_empty = True
        for batch in loader:
            is_empty = False
            yield batch


def _summary(
    bayesian: BayesianEstimator,
    module: BayesianLightningModule,
    optimizer: BayesianOptimizer,
    trainer: pl.Trainer,
    seed: int,
) -> dict[str, Any]:
    """Say what training did, in JSON terms."""
    return {
        **bayesian.describe(),
        "settings": module.method.to_dict()["settings"],
        "temperature": optimizer.temperature,
        "num_observations": optimizer.num_observations,
        "num_weights": count_weights(module.network),
        "gradient_evaluations": optimizer.gradient_evaluations,
        "steps": optimizer.steps,
        "planned_steps": module.total_steps,
        "seed": seed,
        "train_loss": next(reversed(module.trace["loss"]), None),
        "trace": module.trace,
        "val_loss": getattr(module, "best_val_loss", None),
        "best_step": getattr(module, "best_step", None),
        "device": str(trainer.strategy.root_device),
        "diagnostics": optimizer.diagnostics().to_dict(),
    }


def _device(trainer: pl.Trainer) -> str:
    """Where to predict: where training ran, if GluonTS's predictors can use it."""
    return "cuda" if trainer.strategy.root_device.type == "cuda" else "cpu"


def _predictor(
    bayesian: BayesianEstimator,
    transformation: Transformation,
    gluonts_module: Any,
    optimizer: BayesianOptimizer,
    summary: dict[str, Any],
    seed: int,
    schema: FrameSchema | None,
) -> BayesianPredictor:
    gluonts_predictor = bayesian.estimator.create_predictor(transformation, gluonts_module)
    return BayesianPredictor(
        input_names=gluonts_predictor.input_names,
        prediction_net=PosteriorNetwork.of(gluonts_module.model, optimizer.posterior),
        batch_size=gluonts_predictor.batch_size,
        prediction_length=gluonts_predictor.prediction_length,
        input_transform=gluonts_predictor.input_transform,
        num_draws=bayesian.num_draws,
        num_samples=bayesian.num_samples,
        seed=seed,
        training_summary=summary,
        output_transform=gluonts_predictor.output_transform,
        lead_time=gluonts_predictor.lead_time,
        draw_evaluation=bayesian.draw_evaluation,
        memory_limit=bayesian.memory_limit,
        frame_schema=None if schema is None else schema.to_dict(),
    )
