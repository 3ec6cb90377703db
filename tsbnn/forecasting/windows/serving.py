"""Windows for GluonTS's estimators: cut by one gather where that gives the same batches.

What a batch is made of is not assumed but learnt from GluonTS's own loader, and checked: before
anything is trained, the same few windows of the same few series are cut both ways and compared bit
by bit. Where they differ, or a sampler's law is not known, or memory does not suffice, GluonTS's
own loader is used, and the log says why.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from gluonts.dataset.common import Dataset
from gluonts.env import env
from gluonts.itertools import Cached
from gluonts.transform import Transformation

from tsbnn.forecasting.seeds import SeededLoader
from tsbnn.forecasting.windows.comparison import Examples, Reference, compare, learn
from tsbnn.forecasting.windows.free_memory import default_limit, fits_device
from tsbnn.forecasting.windows.not_served import NotServedError, say_once
from tsbnn.forecasting.windows.window_fields import WindowCutter, batch_fields
from tsbnn.forecasting.windows.window_loader import WindowLoader
from tsbnn.forecasting.windows.window_sampler import check_sampler, window_stream
from tsbnn.forecasting.windows.window_store import StoreBuilder

# So many series are looked at before it is known what is stored of them.
_HEAD = 100


class Loading(NamedTuple):
    """How batches are wanted.

    Attributes
    ----------
    is_single_pass
        One pass over the series, as in validation, instead of batches without end.
    generator
        Where the choice of windows comes from.
    device
        Where batches should lie.
    shuffle_buffer_length
        As in GluonTS.
    memory_limit
        Bytes that the transformed series may take; by default a quarter of the free memory.
    name
        Of the data, for messages.
    """

    is_single_pass: bool
    generator: torch.Generator
    device: torch.device
    shuffle_buffer_length: int | None = None
    memory_limit: int | None = None
    name: str = "the dataset"


def data_loader(
    estimator: Any,
    transformation: Transformation,
    data: Dataset,
    module: Any,
    loading: Loading,
    *,
    cache_data: bool,
) -> Iterable[Any]:
    """Batches for training or validation, of one gather a field where that can be.

    Parameters
    ----------
    estimator
        Any torch estimator of GluonTS; it stays as it is.
    transformation
        What ``estimator.create_transformation()`` gave.
    data
        The series.
    module
        The Lightning module that the batches are for.
    loading
        How they are wanted.
    cache_data
        Whether the transformed series may be kept in memory. Otherwise GluonTS's loader reads and
        transforms them again and again.

    Returns
    -------
    Iterable
        A :class:`WindowLoader`, or GluonTS's own loader; a line in the log says why. A single pass
        has the same windows at every iteration.

    Raises
    ------
    ValueError
        If there is no window.
    """
    with env._let(max_idle_transforms=max(len(data), 100)):
        series: Any = transformation.apply(data, is_train=True)
        if cache_data:
            try:
                return estimator_windows(estimator, series, module, loading)
            except NotServedError as reason:
                say_once(reason)
                series = Cached(series) if reason.fits_memory else series
        if not loading.is_single_pass:
            return estimator.create_training_data_loader(
                series, module, shuffle_buffer_length=loading.shuffle_buffer_length
            )
        batches = estimator.create_validation_data_loader(series, module)
    return SeededLoader(batches, loading.generator.initial_seed())


def estimator_windows(
    estimator: Any, transformed: Iterable[Any], module: Any, loading: Loading
) -> WindowLoader:
    """Cut the batches that an estimator's own loader would give.

    Parameters
    ----------
    estimator
        Any torch estimator of GluonTS; it stays as it is.
    transformed
        The transformed series, read once.
    module
        The Lightning module that the batches are for.
    loading
        How they are wanted.

    Raises
    ------
    NotServedError
        If GluonTS's own loader has to be used.
    ValueError
        If there is no window.
    """
    create = getattr(estimator, "_create_instance_splitter", None)
    if create is None:
        raise NotServedError(f"{type(estimator).__name__} has no _create_instance_splitter")
    mode = "validation" if loading.is_single_pass else "training"

    def reference(entries: Any, replace: Callable[[Any], Any]) -> Any:
        twin = copy.copy(estimator)
        twin._create_instance_splitter = lambda *args, **kwargs: replace(create(*args, **kwargs))
        return getattr(twin, f"create_{mode}_data_loader")(entries, module)

    return _windows(transformed, reference, loading)


def _windows(transformed: Iterable[Any], reference: Reference, loading: Loading) -> WindowLoader:
    entries = iter(transformed)
    head = list(itertools.islice(entries, _HEAD))
    if not head:
        raise ValueError(f"{loading.name} is empty: there is no series in it")
    # Loaders may refuse a series that is too short for a window.
    longest = max(head, key=lambda entry: np.shape(entry.get("target", ()))[-1:])
    learnt = learn(reference, longest, is_single_pass=loading.is_single_pass)
    splitter, sampler = learnt.splitter, learnt.splitter.instance_sampler
    check_sampler(sampler)
    fields = batch_fields(splitter, learnt.names)
    target = splitter.target_field
    static_fields = [field.source for field in fields if field.part == "static"]
    cut_fields = [field.source for field in fields if field.part != "static"]
    series_fields = list(dict.fromkeys([target, *cut_fields]))
    limit = default_limit() if loading.memory_limit is None else loading.memory_limit
    builder = StoreBuilder(target, series_fields, static_fields, limit)
    examples = Examples(sampler.min_past + sampler.min_future)
    for entry in itertools.chain(head, entries):
        builder.add(entry)
        examples.look(entry, builder.lengths[-1])
    store = builder.build(splitter.past_length, splitter.dummy_value)
    stream = window_stream(
        sampler,
        store.lengths,
        loading.generator,
        loading.shuffle_buffer_length,
        loading.name,
        items=[entry.get("item_id") for entry in head],
    )
    device = loading.device if fits_device(store.nbytes, loading.device) else torch.device("cpu")
    cutter = WindowCutter(store.to(device), splitter, fields, device)
    compare(reference, learnt, examples, cutter, is_single_pass=loading.is_single_pass)
    return WindowLoader(
        cutter,
        stream,
        learnt.batch_size,
        learnt.batches_per_epoch,
        is_single_pass=loading.is_single_pass,
    )
