"""Which of an estimator's training settings hold under Bayesian training, and which are refused."""

from __future__ import annotations

import inspect
import logging
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gluonts.torch.model.estimator import PyTorchLightningEstimator
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from tsbnn.forecasting.likelihood import check_head
from tsbnn.inference import InferenceMethod

logger = logging.getLogger(__name__)
_CLIPPING = ("gradient_clip_val", "gradient_clip_algorithm")
_said: set[str] = set()


def check_estimator(estimator: object) -> None:
    """Refuse estimators that Bayesian training cannot serve.

    Raises
    ------
    TypeError
        If it is no GluonTS torch estimator.
    ValueError
        For a head that is no likelihood, and for weight decay beside a prior.
    """
    name = type(estimator).__name__
    if not isinstance(estimator, PyTorchLightningEstimator):
        raise TypeError(
            f"estimator must be a GluonTS torch estimator (e.g. gluonts.torch.DeepAREstimator), "
            f"not {name}"
        )
    check_head(estimator, name)
    decay = _given(estimator, "weight_decay")
    if decay:
        raise ValueError(
            f"{name}(weight_decay={decay}): weight decay beside a prior would count twice. Leave "
            "it out and choose the prior, e.g. ProximalScoreVI(prior=IsotropicPrior(scale))."
        )
    rate = _given(estimator, "lr")
    if rate is not None:
        warnings.warn(
            f"{name}(lr={rate}) has no effect under Bayesian training: the inference method has "
            f"its own step size, e.g. ProximalScoreVI(learning_rate={rate}).",
            # Above the constructor stand two wrappers of `validated`, then the caller.
            stacklevel=5,
        )


def _given(estimator: object, argument: str) -> Any:
    """Return a constructor argument that differs from its default, else None."""
    arguments = getattr(estimator, "__init_args__", {})
    parameter = inspect.signature(type(estimator).__init__).parameters.get(argument)
    if argument not in arguments or parameter is None or arguments[argument] == parameter.default:
        return None
    return arguments[argument]


def trainer_settings(
    estimator: PyTorchLightningEstimator, method: InferenceMethod, folder: Path
) -> dict[str, Any]:
    """Arguments for Lightning's ``Trainer``: GluonTS's and the user's, without what cannot be.

    Nothing of the estimator is changed. Without ``default_root_dir`` everything is written to
    ``folder`` and no checkpoint is kept; with it, the last one is.

    Raises
    ------
    ValueError
        For gradient clipping or bfloat16 weights under a posterior method, fp16, accumulated
        gradients, and more than one device.
    """
    given = dict(getattr(estimator, "__init_args__", {}).get("trainer_kwargs") or {})
    settings: dict[str, Any] = {"accelerator": "auto", "devices": 1, "logger": False}
    settings |= {**estimator.trainer_kwargs, **given}
    if str(settings.get("precision")) in ("16", "16-mixed", "16-true"):
        raise ValueError(
            f"trainer_kwargs: precision={settings['precision']!r} scales the loss, and a rescaled "
            "gradient is no score. Use precision='bf16-mixed' or '32-true'."
        )
    if method.is_posterior and settings.get("precision") == "bf16-true":
        raise ValueError(
            "trainer_kwargs: precision='bf16-true' keeps the posterior in bfloat16, whose steps of "
            "0.4 % swallow the small updates of a precision. Use precision='bf16-mixed' or "
            "'32-true'."
        )
    if settings.get("accumulate_grad_batches", 1) not in (None, 1):
        raise ValueError(
            f"trainer_kwargs: accumulate_grad_batches={settings['accumulate_grad_batches']} is not "
            "supported: an inference step evaluates one batch several times. Use a larger "
            "batch_size of the estimator."
        )
    if settings["devices"] not in (1, "1", "auto") and not _is_single(settings["devices"]):
        raise ValueError(
            f"trainer_kwargs: devices={settings['devices']!r}: GluonTS's loaders give every "
            "process the same windows, so only one device is supported."
        )
    if settings["devices"] == "auto":
        settings["devices"] = 1
    if method.is_posterior:
        _drop_clipping(settings, given, method)
    return where_to_write(settings, folder)


def where_to_write(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Complete a trainer's arguments: where it writes, and which callbacks it has.

    Without ``default_root_dir`` everything is written to ``folder`` and no checkpoint is kept;
    with it, the last one is. The list of callbacks is a new one.
    """
    callbacks = settings.get("callbacks") or []
    callbacks = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    root = settings.setdefault("default_root_dir", str(folder))
    lost = [c for c in callbacks if isinstance(c, ModelCheckpoint) and c.dirpath is None]
    if lost and root == str(folder):
        warnings.warn(
            "a ModelCheckpoint without dirpath writes to a temporary folder that is removed after "
            "training: give it a dirpath, or trainer_kwargs a default_root_dir.",
            stacklevel=3,
        )
    if not any(isinstance(callback, Checkpoint) for callback in callbacks):
        if root == str(folder):
            settings.setdefault("enable_checkpointing", False)
        elif settings.get("enable_checkpointing", True):
            callbacks.append(ModelCheckpoint(dirpath=Path(root) / "checkpoints", filename="last"))
    settings["callbacks"] = callbacks
    return settings


def _is_single(devices: Any) -> bool:
    """Say whether a choice of devices, e.g. ``[0]`` or ``"0,"``, is one device."""
    if isinstance(devices, str):
        return len([part for part in devices.split(",") if part.strip()]) == 1 and "," in devices
    return isinstance(devices, list | tuple) and len(devices) == 1


def _drop_clipping(
    settings: dict[str, Any], given: dict[str, Any], method: InferenceMethod
) -> None:
    explicit = given.get("gradient_clip_val")
    if explicit:
        raise ValueError(
            f"trainer_kwargs: gradient_clip_val={explicit} under inference={method.name!r}: a "
            "clipped gradient is no score, and the posterior would be wrong without a word. Leave "
            "it out, or use the deterministic inference='map'."
        )
    dropped = settings.get("gradient_clip_val")
    for key in _CLIPPING:
        settings.pop(key, None)
    if dropped and "clipping" not in _said:
        _said.add("clipping")
        logger.info(
            "GluonTS's default gradient_clip_val=%s is dropped: a clipped gradient is no score",
            dropped,
        )


def check_budget(method: InferenceMethod, gradient_evaluations: int) -> None:
    """Refuse a budget of gradient evaluations that does not pay for a single step.

    Raises
    ------
    ValueError
        Naming the budget and what one step, and the pass after the last one, take.
    """
    if method.steps_within(gradient_evaluations) >= 1:
        return
    step = method.evaluations(1) - method.last_pass
    budget = f"gradient_evaluations={gradient_evaluations} is less than"
    if not method.last_pass:
        raise ValueError(f"{budget} one step of {method.name!r} takes ({step})")
    raise ValueError(
        f"{budget} one step of {method.name!r} ({step}) and the pass after its last step "
        f"({method.last_pass}) take: give it {step + method.last_pass} and what training needs, or "
        "a smaller last_pass"
    )


def plan_steps(
    settings: dict[str, Any],
    given: dict[str, Any],
    batches_per_epoch: int | None,
    method: InferenceMethod,
    gradient_evaluations: int | None,
    *,
    goes_on: bool = False,
) -> int | None:
    """Number of optimizer steps to come; a budget of evaluations is written into ``settings``.

    Parameters
    ----------
    settings
        The trainer's arguments; changed where there is a budget.
    given
        Those that the user passed.
    batches_per_epoch
        The loader's length, None for an endless one.
    method
        Knows how many steps a budget pays for.
    gradient_evaluations
        The budget, at least one step's, or None to follow ``max_epochs`` and ``max_steps``.
    goes_on
        Whether training goes on from a checkpoint.

    Returns
    -------
    int or None
        None if nothing limits the number of steps beforehand (``max_time``, say).

    Raises
    ------
    ValueError
        If the budget meets ``max_epochs`` or ``max_steps``.
    """
    if gradient_evaluations is not None:
        twice = [key for key in ("max_epochs", "max_steps") if given.get(key) is not None]
        if twice:
            raise ValueError(
                f"gradient_evaluations={gradient_evaluations} and trainer_kwargs {twice} both say "
                "how long to train: leave one out."
            )
        steps = method.steps_within(gradient_evaluations)
        batches = _known_batches(settings, batches_per_epoch)
        # The steps end training; epochs, where they can be counted, are for the progress bar. A
        # checkpoint may lie within an epoch, which is counted as a whole one.
        needed = -1 if batches is None or goes_on else math.ceil(steps / batches)
        settings.update(max_steps=steps, max_epochs=needed)
        return steps
    if settings.get("fast_dev_run"):
        return int(settings["fast_dev_run"])
    limits = []
    if settings.get("max_steps") not in (None, -1):
        limits.append(int(settings["max_steps"]))
    batches = _known_batches(settings, batches_per_epoch)
    epochs = settings.get("max_epochs")
    if epochs is not None and epochs != -1 and batches:
        limits.append(int(epochs) * batches)
    return max(1, min(limits)) if limits else None


def _known_batches(settings: dict[str, Any], batches_per_epoch: int | None) -> int | None:
    """Batches of one epoch, None for an endless one."""
    # As floats these are shares: only 1.0, everything, works with these loaders.
    limits = (settings.get("limit_train_batches"), settings.get("overfit_batches") or None)
    known = [n for n in (batches_per_epoch, *limits) if isinstance(n, int)]
    return min(known) if known else None
