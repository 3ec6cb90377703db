"""Models on disk: the same forecasts again, clear errors, and no code from strangers."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from gluonts.core.component import validated
from gluonts.torch import SimpleFeedForwardEstimator
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from tsbnn.forecasting import (
    BayesianEstimator,
    ModelFormatError,
    WindowLosses,
    load,
    save,
    window_losses,
)
from tsbnn.forecasting import storage as storage_module
from tsbnn.forecasting.safe_types import UnsafeTypeError, check_types


def samples(predictor, data) -> np.ndarray:
    return np.stack([forecast.samples for forecast in predictor.predict(data)])


@pytest.fixture(scope="module")
def trained(tiny, series):
    return BayesianEstimator(tiny("deepar"), num_draws=3, num_samples=6).train(series)


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    save(trained, tmp_path / "model")
    return tmp_path / "model"


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def rewrite(folder: Path, change) -> None:
    content = manifest(folder)
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize("inference", ["score", "map"])
@pytest.mark.parametrize(
    "name", ["deepar", "simple_feedforward", "patch_tst", "tft", "wavenet", "tide", "lag_tst"]
)
def test_a_saved_model_forecasts_the_same(name, inference, tiny, series, tmp_path) -> None:
    predictor = BayesianEstimator(tiny(name), inference, num_draws=2, num_samples=4).train(series)
    save(predictor, tmp_path / "deep" / "model")
    again = load(tmp_path / "deep" / "model", device="cpu")
    np.testing.assert_array_equal(samples(again, series), samples(predictor, series))
    assert again == predictor
    assert again.training_summary == predictor.training_summary
    assert sorted(path.name for path in (tmp_path / "deep").rglob("*")) == [
        "manifest.json",
        "model",
        "weights.safetensors",
    ]


@pytest.mark.usefixtures("unchanged_global_random_state")
@pytest.mark.parametrize("name", ["deepar", "our_transformer", "our_patch_transformer"])
def test_torchs_default_type_does_not_matter(name, tiny, series, tmp_path, request) -> None:
    save(BayesianEstimator(tiny(name), num_draws=2).train(series), tmp_path / "before")
    before = samples(load(tmp_path / "before", device="cpu"), series)
    request.getfixturevalue("default_float64")
    again = load(tmp_path / "before", device="cpu")
    np.testing.assert_array_equal(samples(again, series), before)
    predictor = BayesianEstimator(tiny(name), num_draws=2).train(series)
    assert {value.dtype for value in predictor.network.parameters()} == {torch.float32}
    assert np.isfinite(samples(predictor, series)).all()


def test_loading_draws_no_random_numbers(folder) -> None:
    load(folder)


def test_the_manifest_says_what_it_is(folder, trained) -> None:
    content = manifest(folder)
    assert content["format_version"] == 1
    assert set(content["versions"]) == {"tsbnn", "gluonts", "torch"}
    assert content["training_summary"] == trained.training_summary
    tensors = safetensors.torch.load_file(folder / "weights.safetensors")
    assert tensors.keys() == trained.prediction_net.state_dict().keys()


def test_saving_again_replaces_a_model_and_nothing_else(folder, trained, tmp_path) -> None:
    before = (folder / "manifest.json").stat().st_ino
    save(trained, folder)
    assert (folder / "manifest.json").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    mine = tmp_path / "mine"
    mine.mkdir()
    save(trained, mine)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    with pytest.raises(FileExistsError, match="thesis exists and is no saved model"):
        save(trained, tmp_path / "thesis")
    with pytest.raises(TypeError, match=r"predictor\.serialize"):
        save(object(), tmp_path / "x")


def test_a_link_is_followed_and_the_working_directory_refused(
    folder, trained, tmp_path, monkeypatch
) -> None:
    (tmp_path / "newest").symlink_to("model")
    save(trained, tmp_path / "newest")
    assert (tmp_path / "newest").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "newest"]
    assert load(tmp_path / "newest") == trained
    monkeypatch.chdir(folder)
    with pytest.raises(FileExistsError, match="choose a folder in it"):
        save(trained, ".")


def test_a_failed_save_leaves_the_old_model(folder, trained, tmp_path, monkeypatch) -> None:
    def fail(*args) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(storage_module, "_replace", fail)
    with pytest.raises(OSError, match="no space"):
        save(trained, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert load(folder) == trained


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_model(
    folder, trained, tmp_path, monkeypatch
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.startswith(".") and not self.name.endswith("-old"):
            raise OSError("cannot rename")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="cannot rename"):
        save(trained, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert load(folder) == trained


def test_missing_files(folder, tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no manifest\.json"):
        load(tmp_path)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors is missing"):
        load(folder)


def test_damage_is_noticed(folder) -> None:
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelFormatError, match="sha256"):
        load(folder)
    (folder / "manifest.json").write_text('{"format": ')
    with pytest.raises(ModelFormatError, match="is damaged"):
        load(folder)
    (folder / "manifest.json").write_text("[1]")
    with pytest.raises(ModelFormatError, match="not the manifest"):
        load(folder)


def test_another_format_version_says_what_to_install(folder) -> None:
    rewrite(folder, lambda content: content.update(format_version=99))
    with pytest.raises(ModelFormatError, match=r"version 99.*install that version"):
        load(folder)


def test_tensors_must_fit_the_description(folder) -> None:
    def bigger(content) -> None:
        network = content["predictor"]["kwargs"]["prediction_net"]["kwargs"]["network"]
        network["kwargs"]["hidden_size"] = 5

    rewrite(folder, bigger)
    with pytest.raises(ModelFormatError, match=r"has shape \(1, 4\), manifest\.json says \(1, 5\)"):
        load(folder)


def test_unknown_and_missing_tensors_are_named(folder) -> None:
    weights = folder / "weights.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors["extra"] = tensors.pop("posterior.precision")
    safetensors.torch.save_file(tensors, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    rewrite(folder, lambda content: content.update(weights_sha256=digest))
    with pytest.raises(ModelFormatError, match=r"missing \['posterior.precision'\].*\['extra'\]"):
        load(folder)


STRANGERS = {
    "a function that runs programs": {"__kind__": "instance", "class": "os.system", "args": ["id"]},
    "named as a value": {"__kind__": "type", "class": "os.system"},
    "by its real module": {"__kind__": "instance", "class": "posix.system", "args": ["id"]},
    "a way through GluonTS's imports": {
        "__kind__": "instance",
        "class": "gluonts.transform._base.abc.sys.modules.os.system",
        "args": ["id"],
    },
    "a class that GluonTS imported": {
        "__kind__": "instance",
        "class": "gluonts.transform.split.Path",
        "args": ["/"],
    },
    "eval": {"__kind__": "instance", "class": "builtins.eval", "args": ["1"]},
    "getattr": {"__kind__": "instance", "class": "builtins.getattr", "args": [1, "real"]},
    "partial": {"__kind__": "instance", "class": "functools.partial", "args": []},
    "a function of ours": {"__kind__": "type", "class": "tsbnn.forecasting.storage.load"},
    "state without a constructor": {
        "__kind__": "stateful",
        "class": "gluonts.transform._base.Chain",
        "kwargs": {},
    },
    "GluonTS elsewhere": {"__kind__": "instance", "class": "gluonts.ext.prophet.ProphetPredictor"},
    "no class": {"__kind__": "instance"},
    "no name": {"__kind__": "instance", "class": ["os", "system"]},
    "an unknown kind": {"__kind__": "call", "class": "builtins.tuple"},
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_model_cannot_name_code_to_run(stranger, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("os.system", lambda *args: pytest.fail("code of a stranger has run"))
    plain = shutil.copytree(folder, tmp_path / "plain")
    rewrite(plain, lambda content: content["predictor"]["kwargs"].update(info=[{"a": stranger}]))
    with pytest.raises(ModelFormatError, match="is not a type that a saved model may name"):
        load(plain)
    rewrite(folder, lambda content: content.update(predictor={**stranger, "kwargs": {}}))
    with pytest.raises(ModelFormatError):
        load(folder)


def test_another_class_of_ours_is_no_predictor(folder) -> None:
    def other(content) -> None:
        content["predictor"]["class"] = "tsbnn.forecasting.posterior_network.PosteriorNetwork"

    rewrite(folder, other)
    with pytest.raises(ModelFormatError, match="does not describe a BayesianPredictor"):
        load(folder)


def test_a_description_that_cannot_be_built(folder) -> None:
    rewrite(folder, lambda content: content["predictor"]["kwargs"].update(batch_size="many"))
    with pytest.raises(ModelFormatError, match="cannot be built"):
        load(folder)


def test_code_of_ones_own_is_trusted_by_name(folder) -> None:
    own = {"__kind__": "type", "class": "collections.OrderedDict"}
    with pytest.raises(UnsafeTypeError):
        check_types(own)
    check_types(own, trusted=["collections"])
    check_types({"a": [{"__kind__": "instance", "class": "builtins.tuple", "args": [[1]]}]})
    assert load(folder, trusted=["collections"]).num_draws == 3


def test_a_model_with_own_types_says_so_when_saved(tiny, series, tmp_path) -> None:
    wrapped = tiny("deepar", time_features=[own_feature])
    predictor = BayesianEstimator(wrapped, num_draws=2).train(series)
    with pytest.warns(UserWarning, match=r"own_feature.*trusted"):
        save(predictor, tmp_path / "model")
    with pytest.raises(ModelFormatError, match="own_feature"):
        load(tmp_path / "model")
    again = load(tmp_path / "model", trusted=[__name__])
    np.testing.assert_array_equal(samples(again, series), samples(predictor, series))


def own_feature(index) -> np.ndarray:
    return np.zeros(len(index))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_trained_on_a_gpu_loads_on_a_cpu(tiny, series, tmp_path) -> None:
    predictor = BayesianEstimator(tiny("deepar"), num_draws=2).train(series)
    assert predictor.posterior.mean.device.type == "cuda"
    assert np.isfinite(samples(predictor, series)).all()
    save(predictor, tmp_path / "model")
    predictor.serialize(tmp_path)
    for again in (load(tmp_path / "model", "cpu"), type(predictor).deserialize(tmp_path, "cpu")):
        assert again.posterior.mean.device.type == "cpu"
        torch.testing.assert_close(again.posterior.mean, predictor.posterior.mean.cpu())
        assert np.isfinite(samples(again, series)).all()


class Level(nn.Module):
    """A network of a user's, whose arguments nobody keeps."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(start))

    def forward(self, past_target: Tensor, num_parallel_samples: int = 1) -> Tensor:
        level = self.level + past_target.mean(-1, keepdim=True)
        return level[:, None] + torch.randn(len(past_target), num_parallel_samples, 4)


class KeptLevel(Level):
    @validated()
    def __init__(self, start: float) -> None:
        super().__init__(start)


@window_losses.register(Level)
def _(network, batch):
    difference = batch["future_target"] - batch["past_target"].mean(-1, keepdim=True)
    squares = (difference - network.level).square() * batch["future_observed_values"]
    return WindowLosses(squares.sum(-1) / 2, batch["future_observed_values"].sum(-1))


class LevelEstimator(SimpleFeedForwardEstimator):
    network = Level

    def create_lightning_module(self) -> LightningModule:
        module = LightningModule()
        module.model = self.network(0.5)
        return module


class KeptLevelEstimator(LevelEstimator):
    network = KeptLevel


def of_a_user(cls, series):
    wrapped = cls(prediction_length=4, batch_size=4, trainer_kwargs={"enable_progress_bar": False})
    return BayesianEstimator(wrapped, num_draws=2, gradient_evaluations=4).train(series)


def test_a_network_that_cannot_be_written_is_named_with_the_way_out(series, tmp_path) -> None:
    message = (
        r"^the predictor: cannot be written to manifest.json: Cannot serialize type "
        rf"{__name__}.Level\. .* @validated\(\) of gluonts.core.component, "
    )
    with pytest.raises(TypeError, match=message) as caught:
        save(of_a_user(LevelEstimator, series), tmp_path / "new" / "model")
    assert "mxnet" not in str(caught.value)
    assert not (tmp_path / "new").exists()


class Silent(nn.Module):
    """Has a likelihood and says nothing of the future."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))


window_losses.register(Silent)(window_losses.dispatch(Level))


def test_a_network_that_draws_no_paths_is_told_before_training(series) -> None:
    class SilentEstimator(LevelEstimator):
        network = staticmethod(lambda start: Silent())

    with pytest.raises(
        TypeError, match=r"no paths can be drawn of .*\.Silent: .*draw_paths.register"
    ):
        of_a_user(SilentEstimator, series)


def test_a_network_of_a_users_own_is_saved_and_loaded_by_trust(series, tmp_path) -> None:
    predictor = of_a_user(KeptLevelEstimator, series)
    with pytest.warns(UserWarning, match=r"KeptLevel.* trusted="):
        save(predictor, tmp_path / "model")
    again = load(tmp_path / "model", device="cpu", trusted=[__name__])
    np.testing.assert_array_equal(samples(again, series), samples(predictor, series))
