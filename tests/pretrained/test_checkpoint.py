"""A user's own checkpoint: the formats that load unchanged, and the errors for those that do not fit."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from inception import load, open_photo, predict
from inception.errors import WeightsError
from inception.network.inception_v1 import InceptionV1
from inception.pretrained import checkpoint, convert
from inception.pretrained.description import Description, Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, IMAGENET, TORCHVISION
from support.networks import have_equal_logits, randomise
from support.paths import EXAMPLES


def description(**changes: object) -> Description:
    values = {
        "variant": "batchnorm",
        "classes": ("cat", "dog"),
        "preprocessing": IMAGENET,
        "provenance": Provenance("me", "MIT", "two pets", "90 %"),
    }
    return Description(**{**values, **changes})


@pytest.mark.parametrize("options", [{}, {"preact": True}, {"use_bias": False}])
def test_a_saved_checkpoint_loads_unchanged(tmp_path: Path, options: dict) -> None:
    model = randomise(InceptionV1(classes=2, **options))
    checkpoint.save_checkpoint(
        tmp_path / "pets.safetensors", model.state_dict(), description(temperature=1.5, **options)
    )
    loaded = load(str(tmp_path / "pets.safetensors"))
    assert (loaded.labels, loaded.temperature, loaded.preprocessing) == (("cat", "dog"), 1.5, IMAGENET)
    assert have_equal_logits(loaded.model, model)
    assert [path.name for path in tmp_path.iterdir()] == ["pets.safetensors"], "no temporary file is left"


def test_a_description_beside_the_checkpoint_is_used(tmp_path: Path) -> None:
    torch.save(randomise(InceptionV1(classes=2)).state_dict(), tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(json.dumps({"classes": ["Katze", "Hund"], "preprocessing": CAFFE.to_dict()}))
    loaded = load(str(tmp_path / "pets.pth"))
    assert loaded.labels == ("Katze", "Hund")
    assert loaded.preprocessing == CAFFE
    assert not loaded.provenance.notice


def test_a_loaded_network_does_not_follow_later_changes_of_its_file(tmp_path: Path, small_file: Path) -> None:
    path = tmp_path / "pets.safetensors"
    shutil.copyfile(small_file, path)
    loaded, expected = load(path), load(small_file)
    with path.open("r+b") as file:  # in place, as a mapped file shows it
        file.write(bytes(path.stat().st_size))
    assert expected.means
    for block, means in expected.means.items():
        assert torch.equal(loaded.means[block], means), block
    state = loaded.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.model.state_dict().items())


@pytest.mark.parametrize("length", [251, 243])
def test_a_file_name_may_be_as_long_as_the_system_allows(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("p" * length + ".pth")
    torch.save(randomise(InceptionV1(classes=2)).state_dict(), path)
    loaded = load(path)
    assert (len(loaded.labels), loaded.rejection) == (2, None)


def with_design_names(model: InceptionV1) -> dict[str, torch.Tensor]:
    """Return the state dict under the names that the design document's code gives its layers."""
    state, renamed = model.state_dict(), {}
    for theirs, ours in {"conv1.0": "stem.conv1", "conv2.0": "stem.conv2_reduce", "conv2.2": "stem.conv2"}.items():
        for tensor in ("weight", "bias"):
            renamed[f"{theirs}.{tensor}"] = state[f"{ours}.conv.{tensor}"]
    groups = {
        "3a": "conv3.0",
        "3b": "conv3.1",
        "4a": "conv4.0",
        "4b": "conv4.1",
        "4c": "conv4.2",
        "4d": "conv4.3",
        "4e": "conv4.4",
        "5a": "conv5.0",
        "5b": "conv5.1",
    }
    units = {
        "1x1": (1, 0, 1),
        "3x3_reduce": (2, 0, 1),
        "3x3": (2, 3, 4),
        "5x5_reduce": (3, 0, 1),
        "5x5": (3, 3, 4),
        "pool_proj": (4, 1, 2),
    }
    for block, group in groups.items():
        for unit, (branch, conv, bn) in units.items():
            for name, tensor in state.items():
                if name.startswith(f"inception_{block}.{unit}."):
                    kind, _, parameter = name.split(".", 2)[2].partition(".")
                    renamed[f"{group}.conv{branch}.{conv if kind == 'conv' else bn}.{parameter}"] = tensor
    for theirs, ours in {"fc.1": "head.hidden", "fc.3": "head.classifier"}.items():
        for tensor in ("weight", "bias"):
            renamed[f"{theirs}.{tensor}"] = state[f"{ours}.{tensor}"]
    return renamed


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_checkpoint_with_the_design_documents_names_loads(tmp_path: Path, suffix: str) -> None:
    model = randomise(InceptionV1(classes=3))
    state = with_design_names(model)
    assert len(state) == len(model.state_dict())
    assert {"conv1.0.weight", "conv3.0.conv2.3.bias", "fc.3.weight"} <= set(state)
    path = tmp_path / f"design.{suffix}"
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    loaded = load(str(path))
    assert have_equal_logits(loaded.model, model)
    assert loaded.labels == ("class 0", "class 1", "class 2")
    assert "numbered" in loaded.provenance.notice


def test_the_shared_starting_weights_load(shared: Path, embedded: PretrainedModel) -> None:
    loaded = load(str(shared / "weights" / "batchnorm-tiny-imagenet.safetensors"))
    # Trained on the same classes and photos as the embedded weights, so the top classes agree.
    pretrained = replace(loaded, preprocessing=embedded.preprocessing, labels=embedded.labels)
    for file, label in (("espresso", "espresso"), ("red_panda", "lesser panda"), ("stone_bridge", "viaduct")):
        assert predict(pretrained, open_photo(EXAMPLES / f"{file}.jpg")).top(1)[0].label == label


def test_a_checkpoint_finetuned_with_torchvision_loads(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = randomise(
            torchvision.models.googlenet(weights=None, num_classes=4, aux_logits=True, init_weights=False)
        )
    torch.save(theirs.state_dict(), tmp_path / "birds.pt")
    loaded = load(str(tmp_path / "birds.pt"))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(loaded.model.trace(x).logits, theirs(x), atol=1e-5)
    assert loaded.preprocessing == TORCHVISION


@pytest.mark.parametrize(
    "options", [{"preact": True}, {"use_bias": False}, {"variant": "googlenet"}, {"variant": "torchvision"}]
)
def test_options_missing_from_a_description_are_inferred_from_the_tensors(tmp_path: Path, options: dict) -> None:
    model = randomise(InceptionV1(classes=2, **options))
    torch.save(model.state_dict(), tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(json.dumps({"classes": ["cat", "dog"], "preprocessing": IMAGENET.to_dict()}))
    assert have_equal_logits(load(tmp_path / "pets.pth", "auto").model.cpu(), model)


def test_a_design_checkpoint_without_biases_loads(tmp_path: Path) -> None:
    model = randomise(InceptionV1(classes=3, use_bias=False))
    design_names = with_design_names(randomise(InceptionV1(classes=3)))
    our_names = convert.design_names()
    state = {
        name: model.state_dict()[our_names[name]] for name in design_names if our_names[name] in model.state_dict()
    }
    torch.save(state, tmp_path / "design.pth")
    assert have_equal_logits(load(str(tmp_path / "design.pth")).model, model)


def test_a_wrong_number_of_classes_is_reported(tmp_path: Path) -> None:
    torch.save(InceptionV1(classes=3).state_dict(), tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(description().to_json())
    with pytest.raises(WeightsError, match="names 2 classes, but the tensors are for 3"):
        load(tmp_path / "pets.pth")


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("was-run"),))


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Malicious()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="running code from a checkpoint is not allowed"):
        load(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "was-run").exists()


def broken_state(change: Callable[[dict[str, torch.Tensor]], None]) -> dict[str, torch.Tensor]:
    state = dict(randomise(InceptionV1(classes=2)).state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda s: s.pop("inception_4c.5x5.conv.weight"), "weights_names", "missing inception_4c.5x5.conv.weight"),
        (lambda s: s.update(extra=torch.ones(1)), "weights_names", "unknown extra"),
        (lambda s: s.update({"stem.conv1.conv.weight": torch.ones(64, 3, 5, 5)}), "weights_shape", r"\(64, 3, 7, 7\)"),
        (lambda s: s["head.hidden.bias"].fill_(float("nan")), "weights_not_finite", "head.hidden.bias"),
        (lambda s: s.clear(), "weights_names", "missing"),
    ],
    ids=["missing", "unknown", "shape", "nan", "empty"],
)
def test_a_mismatched_checkpoint_is_rejected(tmp_path: Path, change: Callable, kind: str, message: str) -> None:
    state = broken_state(change)
    torch.save(state, tmp_path / "broken.pth")
    (tmp_path / "broken.json").write_text(description().to_json())
    with pytest.raises(WeightsError, match=message) as error:
        load(str(tmp_path / "broken.pth"))
    assert error.value.kind == kind


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"classes": [], "preprocessing": {}}', '{"classes": ["a"], "preprocessing": {"size": 3}}'],
)
def test_an_unusable_description_is_reported(tmp_path: Path, text: str) -> None:
    torch.save(InceptionV1(classes=2).state_dict(), tmp_path / "pets.pth")
    (tmp_path / "pets.json").write_text(text)
    with pytest.raises(WeightsError, match='"classes"'):
        load(str(tmp_path / "pets.pth"))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("data", [b"", b"no checkpoint at all", b"PK\x03\x04" + b"\0" * 100])
def test_a_damaged_file_is_rejected(tmp_path: Path, suffix: str, data: bytes) -> None:
    (tmp_path / f"damaged.{suffix}").write_bytes(data)
    with pytest.raises(WeightsError, match="damaged") as error:
        load(str(tmp_path / f"damaged.{suffix}"))
    assert str(tmp_path) not in str(error.value)


WRAPPINGS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "training loop": lambda s: {"model": s, "optimizer": {"state": {}}, "epoch": 3},
    "Lightning": lambda s: {"state_dict": {f"net.{name}": tensor for name, tensor in s.items()}, "epoch": 3},
    "DataParallel": lambda s: {f"module.{name}": tensor for name, tensor in s.items()},
    "compiled": lambda s: {"model_state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in s.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_usual_wrappings_of_a_state_dict_are_removed(tmp_path: Path, wrapping: str) -> None:
    model = randomise(InceptionV1(classes=3))
    torch.save(WRAPPINGS[wrapping](model.state_dict()), tmp_path / "wrapped.pth")
    assert have_equal_logits(load(str(tmp_path / "wrapped.pth")).model, model)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_common_prefix_is_removed_from_all_names_but_those_of_means(
    tmp_path: Path, suffix: str, embedded: PretrainedModel
) -> None:
    model = randomise(InceptionV1(classes=3))
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {f"means.{block}": mean for block, mean in embedded.means.items()}
    path = tmp_path / f"wrapped.{suffix}"
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    loaded = load(path)
    assert have_equal_logits(loaded.model, model)
    assert all(torch.equal(loaded.means[block], mean) for block, mean in embedded.means.items())


def test_a_description_of_another_variant_is_refused_with_the_right_one(tmp_path: Path) -> None:
    torch.save(InceptionV1(variant="torchvision", classes=2).state_dict(), tmp_path / "pets.pth")
    preprocessing = TORCHVISION.to_dict()
    description = {"variant": "batchnorm", "classes": ["cat", "dog"], "preprocessing": preprocessing}
    (tmp_path / "pets.json").write_text(json.dumps(description))
    with pytest.raises(WeightsError, match=r'says "variant": "batchnorm", but the tensors are of the variant torchv'):
        load(str(tmp_path / "pets.pth"))
