"""Models on disk: a folder with ``manifest.json`` (what to build) and ``weights.safetensors``.

Neither file can run code: the manifest names classes of GluonTS and tsbnn by an allow-list that is
checked before anything is built, and safetensors holds numbers only. A folder from a stranger is
safe to load.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch
from gluonts.core.serde import decode, encode
from safetensors import SafetensorError
from torch import Tensor

from tsbnn import __version__
from tsbnn.forecasting.predictor import BayesianPredictor
from tsbnn.forecasting.safe_types import UnsafeTypeError, check_types
from tsbnn.foreign.random_state import RandomStream

FORMAT = "tsbnn-predictor"
FORMAT_VERSION = 1
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"


class ModelFormatError(ValueError):
    """A model folder is missing something, damaged, or of a format that cannot be read."""


def save(
    predictor: BayesianPredictor,
    path: str | os.PathLike[str],
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a predictor to a folder, all or nothing.

    Parameters
    ----------
    predictor
        A predictor of a :class:`tsbnn.BayesianEstimator`.
    path
        The folder. A saved model there is replaced; a link to a folder is followed.
    notes
        What else is to be kept in the manifest, for :func:`read_notes`: settings of GluonTS's
        kind, in JSON terms or objects whose constructors are ``validated``.

    Raises
    ------
    TypeError
        If the predictor is of another kind, or it or the notes hold what cannot be written: a
        network whose constructor is not ``validated``, say.
    FileExistsError
        If something that is no saved model stands there, or it is the working directory, which
        cannot be replaced.
    """
    if not isinstance(predictor, BayesianPredictor):
        raise TypeError(
            f"only predictors of a BayesianEstimator can be saved, not {type(predictor).__name__}; "
            "GluonTS's own have predictor.serialize(path)"
        )
    target = Path(path).resolve()
    if target == Path.cwd():
        raise FileExistsError(f"{target} is the working directory: choose a folder in it")
    if target.exists() and not (target / MANIFEST).is_file() and not _is_empty(target):
        raise FileExistsError(f"{target} exists and is no saved model: choose another path")
    description = _encoded(predictor, "the predictor")
    target.parent.mkdir(parents=True, exist_ok=True)
    state = predictor.prediction_net.state_dict()
    # Parameters may be views of one buffer, which safetensors refuses.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    weights = safetensors.torch.save(tensors)
    summary = description["kwargs"].pop("training_summary", None)
    try:
        check_types(description)
    except UnsafeTypeError as error:
        warnings.warn(
            f"{error} Loading this model will need load(path, trusted=[...]).", stacklevel=2
        )
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {
            "tsbnn": __version__,
            **{name: version(name) for name in ("gluonts", "torch")},
        },
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "training_summary": summary,
        "predictor": description,
        "notes": _encoded_notes(notes or {}),
    }
    fresh = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    fresh.mkdir()
    try:
        (fresh / WEIGHTS).write_bytes(weights)
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _replace(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _encoded(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(encode(value)))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        # GluonTS goes on about pages that there are no more.
        reason = str(error).partition(". See the documentation")[0]
        raise TypeError(
            f"{name}: cannot be written to {MANIFEST}: {reason}. A model on disk names classes and "
            "functions of modules; a class, e.g. of a network, must have a constructor under "
            "@validated() of gluonts.core.component, with numbers, texts, lists and such objects "
            "as arguments"
        ) from error


def _encoded_notes(notes: Mapping[str, Any]) -> Any:
    encoded = _encoded(dict(notes), ", ".join(notes))
    try:
        check_types(encoded)
    except UnsafeTypeError as error:
        raise TypeError(f"{', '.join(notes)}: cannot be written to {MANIFEST}: {error}") from error
    return encoded


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _replace(fresh: Path, target: Path) -> None:
    """Put a folder in another's place; nobody sees a half-written one."""
    old = target.with_name(f"{fresh.name}-old")
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def load(
    path: str | os.PathLike[str],
    device: str | None = None,
    trusted: Collection[str] = (),
) -> BayesianPredictor:
    """Read a predictor that :func:`save` wrote, on any machine.

    Parameters
    ----------
    path
        The folder.
    device
        Where to predict, e.g. ``"cpu"``; by default a GPU if there is one, as in GluonTS.
    trusted
        Packages of your own (``"mypackage"``) whose classes the model may use, e.g. a network of
        your own. Their code runs: name only those that you would import anyway.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or a file in it is missing.
    ModelFormatError
        If the folder is damaged, of a newer format, names types that are not allowed, or its
        tensors do not fit its description.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    try:
        check_types(manifest["predictor"], trusted)
    except UnsafeTypeError as error:
        raise ModelFormatError(f"{folder / MANIFEST}: {error}") from error
    if manifest["predictor"].get("class") != _name(BayesianPredictor):
        raise ModelFormatError(f"{folder / MANIFEST} does not describe a BayesianPredictor")
    tensors = _read_weights(folder / WEIGHTS, manifest.get("weights_sha256"))
    description = dict(manifest["predictor"])
    description["kwargs"] = {
        **description.get("kwargs", {}),
        "training_summary": manifest.get("training_summary"),
        "device": "cpu",
    }
    try:
        # Building a network draws its initial weights.
        with RandomStream(0).active():
            predictor = decode(description)
    except Exception as error:
        raise ModelFormatError(
            f"{folder / MANIFEST} describes a model that cannot be built "
            f"(written with {manifest.get('versions')}): {error}"
        ) from error
    _check_shapes(predictor.prediction_net.state_dict(), tensors, folder)
    predictor.prediction_net.load_state_dict(tensors)
    # Equal to the one saved, wherever it is put now.
    predictor.__init_args__["device"] = manifest["predictor"]["kwargs"].get("device", "auto")
    return predictor.to("auto" if device is None else device)


def read_notes(path: str | os.PathLike[str], trusted: Collection[str] = ()) -> dict[str, Any]:
    """Read the notes that :func:`save` was given; arguments and errors as those of :func:`load`."""
    notes = _read_manifest(Path(path)).get("notes", {})
    try:
        check_types(notes, trusted)
        found: dict[str, Any] = decode(notes)
    except Exception as error:
        raise ModelFormatError(f"{Path(path) / MANIFEST}: notes: {error}") from error
    return found


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no model folder {folder}")
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder} has no {MANIFEST}: it is no saved model")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFormatError(f"{folder / MANIFEST} is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFormatError(f"{folder / MANIFEST} is not the manifest of a tsbnn model")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise ModelFormatError(
            f"{folder / MANIFEST} has format version {manifest.get('format_version')!r}, this "
            f"tsbnn {__version__} reads {FORMAT_VERSION}. It was written with "
            f"{manifest.get('versions')}: install that version of tsbnn."
        )
    if not isinstance(manifest.get("predictor"), dict) or not isinstance(
        manifest["predictor"].get("kwargs"), dict
    ):
        raise ModelFormatError(f"{folder / MANIFEST} lacks the description of the predictor")
    return manifest


def _read_weights(file: Path, sha256: object) -> dict[str, Tensor]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelFormatError(f"{file} is damaged: its sha256 is not the manifest's")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise ModelFormatError(f"{file} is damaged: {error}") from error


def _check_shapes(expected: dict[str, Tensor], found: dict[str, Tensor], folder: Path) -> None:
    missing, unknown = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or unknown:
        raise ModelFormatError(
            f"{folder / WEIGHTS} does not fit {MANIFEST}: missing {sorted(missing)}, "
            f"unknown {sorted(unknown)}"
        )
    for name, value in expected.items():
        if value.shape != found[name].shape:
            raise ModelFormatError(
                f"{folder / WEIGHTS}: {name} has shape {tuple(found[name].shape)}, {MANIFEST} "
                f"says {tuple(value.shape)}"
            )
