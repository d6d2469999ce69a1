"""Checks of explanations' arguments, and how their errors quote invalid values."""

from __future__ import annotations

import io
import json
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inception import Crop, InceptionV1, open_photo, predict
from inception.errors import ChoiceError, UserError, quoted
from inception.explain.ablation import ablate
from inception.explain.attribution import grad_cams
from inception.explain.catalogue import EXPLANATIONS
from inception.explain.circuit import cell_circuit
from inception.explain.convolution import trace_convolution
from inception.explain.masking import class_index
from inception.explain.receptive_field import cell_square, effective_field
from inception.explain.registry import CLASS_LETTERS, PhotoSubject
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS
from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from support.long_names import HUGE_NAME
from support.paths import EXAMPLES


@pytest.fixture(scope="module")
def prediction(embedded: PretrainedModel) -> Prediction:
    return predict(embedded, open_photo(EXAMPLES / "espresso.jpg"))


# ---------------------------------------------------------------- quoting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3a", "'3a'"),
        (None, "None"),
        (float("nan"), "nan"),
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 78}…"),
        ("\x1b[2J\n\ud800", r"'\x1b[2J\n\ud800'"),
        (10**5000, "<int>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_quoted_is_repr_cut_to_80_characters(value: object, text: str) -> None:
    assert quoted(value) == text


def test_quoting_large_values_takes_little_memory() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep, deep]
    wide = {str(number): [number] * 10 for number in range(10_000)}
    for value in (HUGE_NAME, [HUGE_NAME] * 1000, deep, wide, {"a": HUGE_NAME}):
        tracemalloc.start()
        try:
            text = quoted(value)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(text) <= 80
        assert peak < 2**20
    assert len(str(ChoiceError("block", HUGE_NAME, tuple(BLOCKS)))) < 150


# ---------------------------------------------------------------- explanations


def test_huge_class_name_is_rejected_without_comparing_it(embedded: PretrainedModel, prediction: Prediction) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"has no class 'goldfish.*…; it has 200 classes, among them") as error:
            class_index(embedded, prediction, HUGE_NAME)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(error.value)) < 300
    assert peak < 2**20


@pytest.mark.parametrize(
    ("wanted", "similar"),
    [
        ("cat", "Persian cat, Egyptian cat"),
        ("espreso", "espresso"),
        ("xyz", "goldfish, European fire salamander, bullfrog"),
    ],
)
def test_an_unknown_class_is_answered_with_similar_names_only(
    embedded: PretrainedModel, prediction: Prediction, wanted: str, similar: str
) -> None:
    with pytest.raises(UserError, match=f"among them {similar}\\. "):
        class_index(embedded, prediction, wanted)


def test_long_class_name_that_equals_a_label_is_found(embedded: PretrainedModel, prediction: Prediction) -> None:
    long_label = "x" * (CLASS_LETTERS + 1)
    labelled = type("Named", (), {"labels": (*embedded.labels, long_label)})()
    assert class_index(labelled, prediction, long_label) == len(embedded.labels)


INVALID_NUMBERS = ["3", None, True, 1.5, float("nan"), float("inf"), -1, 10**30, [1], {}, 10**5000]


@pytest.mark.parametrize("wrong", INVALID_NUMBERS, ids=lambda value: str(type(value).__name__))
@pytest.mark.parametrize(
    "explain",
    [
        lambda net, prediction, number: trace_convolution(net, prediction, "4c", "3x3", number, 0, 0),
        lambda net, prediction, number: trace_convolution(net, prediction, "4c", "3x3", 0, number, 0),
        lambda net, prediction, number: cell_square(net.model, "4c", "3x3", 0, number),
        lambda net, prediction, number: effective_field(net, prediction, "4c", "3x3", number, 0),
        lambda net, prediction, number: ablate(net, prediction, "4c", [], [0, number]),
    ],
    ids=["channel", "row", "column", "field", "channels"],
)
def test_invalid_cells_and_channels_are_rejected_with_a_sentence(
    embedded: PretrainedModel, prediction: Prediction, explain: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(UserError, match=r"^There is no (channel|cell at row) .*(numbered 0 to|rows and) ") as error:
        explain(embedded, prediction, wrong)
    assert len(str(error.value)) < 400


def test_numpy_integers_are_accepted(embedded: PretrainedModel, prediction: Prediction) -> None:
    one = np.int64(1)
    assert (
        trace_convolution(embedded, prediction, "4c", "3x3", one, one, one).sum
        == trace_convolution(embedded, prediction, "4c", "3x3", 1, 1, 1).sum
    )
    assert class_index(embedded, prediction, one) == 1
    with pytest.raises(UserError, match=r"no class number 500; "):
        class_index(embedded, prediction, np.int64(500))


@pytest.mark.parametrize(
    "wrong", [["3a"], {}, 3, None, float("nan"), "9z", HUGE_NAME], ids=lambda value: str(value)[:6]
)
@pytest.mark.parametrize(
    "explain",
    [
        lambda net, prediction, value: branch_votes(net, prediction, value),
        lambda net, prediction, value: branch_votes(net, prediction, "4c", ablation=value),
        lambda net, prediction, value: grad_cams(net, prediction, value),
        lambda net, prediction, value: ablate(net, prediction, "4c", [value]),
        lambda net, prediction, value: trace_convolution(net, prediction, "4c", value, 0, 0, 0),
        lambda net, prediction, value: cell_square(net.model, "4c", value, 0, 0),
        lambda net, prediction, value: prediction.branch("4c", value),
        lambda net, prediction, value: prediction.block(value),
    ],
    ids=["block", "off", "cam", "branches", "layers", "square", "branch", "map"],
)
def test_invalid_choices_are_rejected_with_a_sentence(
    embedded: PretrainedModel, prediction: Prediction, explain: Callable[..., Any], wrong: Any
) -> None:
    with pytest.raises(ChoiceError, match="it must be one of: ") as error:
        explain(embedded, prediction, wrong)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("wrong", [True, 1.5, float("nan"), ["goldfish"], {}], ids=str)
def test_class_must_be_a_name_or_a_number(embedded: PretrainedModel, prediction: Prediction, wrong: Any) -> None:
    with pytest.raises(UserError, match=r"This network has no class .*; it has 200 classes, among them"):
        class_index(embedded, prediction, wrong)


def test_numpy_integers_become_numbers_that_json_can_hold(embedded: PretrainedModel, prediction: Prediction) -> None:
    one = np.int64(1)
    subject, place = PhotoSubject(embedded, prediction), {"channel": one, "row": one, "column": one}
    results = [
        ablate(embedded, prediction, "4c", channels=[one]),
        cell_circuit(embedded, prediction, "4c", "3x3", **place),
        EXPLANATIONS["cell"](subject, block="4c", branch="3x3", **place),
    ]
    for result in results:
        assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
    field = effective_field(embedded, prediction, "4c", "3x3", one, one)
    assert {type(value) for value in (field.row, field.column, *astuple(field.square))} == {int}


@pytest.mark.parametrize("name", ["cell", "circuit"])
def test_a_cell_of_no_channel_is_refused_before_there_is_a_photo(name: str, embedded: PretrainedModel) -> None:
    with pytest.raises(UserError, match="There is no channel 9999 in 4c/3x3; its channels are numbered 0 to"):
        EXPLANATIONS[name].check(embedded, block="4c", branch="3x3", channel=9999, row=0, column=0)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [(("Cardigan", "cardigan", "zebra"), "CARDIGAN"), (("crane", "Crane, a bird"), "CRANE"), (("cat", "cat"), "cat")],
)
def test_a_name_of_several_classes_is_refused_with_their_numbers(
    labels: tuple[str, ...], wanted: str, prediction: Prediction
) -> None:
    labelled: Any = type("Named", (), {"labels": labels})()
    with pytest.raises(UserError, match=rf"'{wanted}': 0 \({labels[0]}\), 1 \({labels[1]}\)\. Please give the number"):
        class_index(labelled, prediction, wanted)
    assert class_index(labelled, prediction, 1) == 1


def test_a_whole_label_names_its_class_whatever_others_are_called(prediction: Prediction) -> None:
    labelled: Any = type("Named", (), {"labels": ("Cardigan", "cardigan")})()
    assert [class_index(labelled, prediction, name) for name in labelled.labels] == [0, 1]


def test_an_unknown_class_is_answered_with_labels_and_the_numbers(
    embedded: PretrainedModel, prediction: Prediction
) -> None:
    with pytest.raises(UserError, match=r"European fire salamander.*by its number from 0 to 199\.$"):
        class_index(embedded, prediction, "200")


def test_a_branch_may_be_given_without_a_list(embedded: PretrainedModel, prediction: Prediction) -> None:
    assert ablate(embedded, prediction, "4c", "3x3") == ablate(embedded, prediction, "4c", ["3x3"])
    with pytest.raises(ChoiceError, match=r"^branch is '7x7'"):
        ablate(embedded, prediction, "4c", "7x7")


def test_an_unknown_ablation_is_called_by_the_arguments_name(embedded: PretrainedModel, prediction: Prediction) -> None:
    with pytest.raises(ChoiceError, match=r"^ablation is 'x'"):
        branch_votes(embedded, prediction, "4c", ablation="x")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: Crop(across=2), "across is 2"),
        (lambda _: InceptionV1(classes=0), "classes is 0"),
        (lambda _: InceptionV1(input_shape=(224, 224, 3)), "it must be \\(3, height, width\\)"),
        (lambda _: InceptionV1(classes=2)(torch.zeros(1, 1, 64, 64)), "The input has shape"),
        (lambda net: predict(net, "photo.jpg"), r"photo is of type str; .*open_photo"),
        (lambda net: predict(net, np.zeros((64, 64, 3), np.uint8)), r"photo is of type ndarray; .*fromarray"),
        (lambda net: predict(net, Image.new("RGBA", (64, 64))), r"photo has the mode 'RGBA'; .*convert\('RGB'\)"),
        (lambda net: predict(net, Image.new("L", (64, 64))), r"photo has the mode 'L'; it must be 'RGB'"),
        (lambda _: open_photo(io.BytesIO(b"x")), "source is of type BytesIO; it must be the path"),
    ],
)
def test_a_wrong_argument_of_a_public_function_is_a_user_error(
    embedded: PretrainedModel, call: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        call(embedded)
    assert isinstance(error.value, ValueError)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
