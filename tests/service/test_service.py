"""The service: networks are loaded once, photos are prepared once, and results are shared by content."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inception import open_photo, predict
from inception.errors import ChoiceError, UserError, WeightsError
from inception.explain.branch_removal import ablated_prediction
from inception.explain.convolution import trace_convolution
from inception.explain.shapley import subset_logits
from inception.prediction import Prediction
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from inception.runtime.device import choose_device
from inception.service import service as service_module
from inception.service.backend import LocalBackend
from inception.service.query import Query
from inception.service.service import EXPLANATION_BYTES, InferenceService
from inception.vision.preprocessing import CENTRE_CROP, WHOLE_PHOTO, Crop
from support.paths import EXAMPLES

NAME, PHOTO = "tiny-imagenet", str(EXAMPLES / "bison.jpg")


class CountingBackend(LocalBackend):
    """Counts predictions and explanations."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions = self.explanations = 0

    def predict(self, pretrained: PretrainedModel, query: Query) -> Prediction:
        self.predictions += 1
        return super().predict(pretrained, query)

    def explain(self, *arguments: Any) -> Any:
        self.explanations += 1
        return super().explain(*arguments)


@pytest.fixture
def backend() -> CountingBackend:
    return CountingBackend()


@pytest.fixture
def service(backend: CountingBackend) -> InferenceService:
    return InferenceService((NAME,), choose_device("cpu"), backend)


def test_a_query_uses_the_requested_crop(service: InferenceService) -> None:
    centre, uncropped = (service.query(NAME, PHOTO, crop) for crop in (None, lambda width, height: WHOLE_PHOTO))
    assert centre == service.query(NAME, PHOTO, lambda width, height: CENTRE_CROP)
    assert uncropped.photo == centre.photo == open_photo(PHOTO).size
    assert uncropped.digest != centre.digest
    preprocessing = service.pretrained(NAME).preprocessing
    assert uncropped.image.tobytes() == preprocessing.apply(open_photo(PHOTO), WHOLE_PHOTO).tobytes()


def test_equal_pixels_share_a_prediction_and_an_explanation(
    service: InferenceService, backend: CountingBackend
) -> None:
    png = io.BytesIO()
    open_photo(PHOTO).save(png, "PNG")
    queries = [service.query(NAME, source) for source in (PHOTO, png.getvalue())]
    assert service.prediction(queries[0]) is service.prediction(queries[1])
    for _ in range(2):
        explained = [service.explained(query, subset_logits, "4c", "zero") for query in queries]
    assert explained[0] is explained[1]
    assert (backend.predictions, backend.explanations) == (1, 1)
    service.explained(queries[0], subset_logits, "4c", "mean")
    assert (backend.predictions, backend.explanations) == (1, 2)


def test_a_cached_explanation_needs_no_prediction(
    service: InferenceService, backend: CountingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = service.query(NAME, PHOTO)
    explanation = service.explained(query, subset_logits, "4c", "zero")
    monkeypatch.setattr(service, "prediction", lambda _: pytest.fail("a forward pass for what is cached"))
    assert service.explained(query, subset_logits, "4c", "zero") is explanation


def large_explanation(pretrained: PretrainedModel, prediction: Prediction, number: int) -> np.ndarray:
    return np.full(EXPLANATION_BYTES // 3, number, np.uint8)


def test_explanations_are_cached_up_to_a_number_of_bytes(service: InferenceService, backend: CountingBackend) -> None:
    query = service.query(NAME, PHOTO)
    for number in (0, 1, 0, 2, 0):  # two fit at a time, and 0 is used again before each of the others
        assert service.explained(query, large_explanation, number)[0] == number
    assert backend.explanations == 3
    service.explained(query, large_explanation, 1)
    assert backend.explanations == 4, "1 was evicted for 2"


def count(pretrained: PretrainedModel, prediction: Prediction, numbers: tuple[int, ...]) -> int:
    return len(numbers)


def test_what_an_explanation_was_asked_for_counts_too(
    backend: CountingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "EXPLANATION_BYTES", 100_000)
    service = InferenceService((NAME,), choose_device("cpu"), backend)
    query = service.query(NAME, PHOTO)
    for first in (1000, 3000, 5000, 1000):  # each takes 36 kB for a thousand numbers
        assert service.explained(query, count, tuple(range(first, first + 1000))) == 1000
    assert backend.explanations == 4


def test_an_uncached_explanation_is_computed_each_time(service: InferenceService, backend: CountingBackend) -> None:
    query = service.query(NAME, PHOTO)
    first, second = (service.explained_uncached(query, trace_convolution, "4c", "3x3", 0, 1, 2) for _ in range(2))
    assert first is not second
    assert first.sum == second.sum
    assert backend.explanations == 0


def test_a_batch_of_several_precisions_keeps_its_order(service: InferenceService, embedded: PretrainedModel) -> None:
    photos = [str(EXAMPLES / f"{name}.jpg") for name in ("bison", "espresso", "macaw")]
    queries = [service.query(NAME, photo) for photo in photos]
    queries[1] = replace(queries[1], precision="fast")
    for photo, query, prediction in zip(photos, queries, service.predict_batch(queries), strict=True):
        expected = predict(embedded, open_photo(photo), query.precision)
        np.testing.assert_allclose(prediction.logits, expected.logits, atol=0.2 if query.precision == "fast" else 1e-3)


def test_a_network_is_loaded_once_and_again_after_an_error(
    service: InferenceService, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def fail_first_time(name: str, device: Any) -> PretrainedModel:
        loaded.append(name)
        if len(loaded) == 1:
            raise WeightsError("weights_missing", "There is no file.")
        return load(name, device)

    monkeypatch.setattr("inception.service.service.load", fail_first_time)
    with pytest.raises(WeightsError):
        service.pretrained(NAME)
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(service.pretrained, [NAME] * 4))
    assert all(network is networks[0] for network in networks)
    assert loaded == [NAME, NAME]


def test_only_the_configured_models_can_be_used(service: InferenceService) -> None:
    with pytest.raises(ChoiceError, match="model is 'googlenet'"):
        service.query("googlenet", PHOTO)


def test_a_checkpoint_is_identified_only_by_its_file_name() -> None:
    service = InferenceService(("/secret/folder/own.safetensors", NAME), choose_device("cpu"))
    assert service.models == ("own.safetensors", NAME)
    with pytest.raises(WeightsError) as error:
        service.pretrained("own.safetensors")
    assert "secret" not in str(error.value)


def test_two_checkpoints_with_the_same_file_name_are_rejected() -> None:
    with pytest.raises(UserError, match=r"called 'model\.safetensors'.*please rename one") as error:
        InferenceService(("/secret/a/model.safetensors", "/secret/b/model.safetensors"), choose_device("cpu"))
    assert "secret" not in str(error.value)
    same = InferenceService(("a/model.safetensors", NAME, "a/model.safetensors"), choose_device("cpu"))
    assert same.models == ("model.safetensors", NAME)


def test_a_file_is_opened_once_for_each_crop(service: InferenceService, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("inception.service.service.open_photo", lambda photo: opened.append(photo) or open_photo(photo))

    def query(key: str, crop: Crop) -> Query:
        return service.query_of_file(NAME, PHOTO, key, lambda width, height: crop)

    first = query("centre", CENTRE_CROP)
    assert first == service.query(NAME, PHOTO)
    opened.clear()
    assert query("centre", CENTRE_CROP) is first
    assert opened == []
    assert query("whole", WHOLE_PHOTO).digest == service.query(NAME, PHOTO, lambda width, height: WHOLE_PHOTO).digest
    assert first.nbytes == 3 * first.image.width * first.image.height


def test_a_crop_depends_on_the_photos_size(service: InferenceService) -> None:
    sizes = []
    service.query_of_file(NAME, PHOTO, "size", lambda width, height: sizes.append((width, height)) or CENTRE_CROP)
    assert sizes == [open_photo(PHOTO).size]


def test_branches_off_are_computed_once_for_equal_pixels(service: InferenceService, backend: CountingBackend) -> None:
    query, off = service.query(NAME, PHOTO), {"4b": ["1x1"], "5a": ["pool"]}
    ablated = service.ablated(query, off)
    expected = ablated_prediction(service.pretrained(NAME), service.prediction(query), off)
    assert np.array_equal(ablated.logits, expected.logits)
    assert service.ablated(replace(query, crop=WHOLE_PHOTO), {key: tuple(off[key]) for key in off}) is ablated
    assert (backend.predictions, backend.explanations) == (1, 1)
    assert service.ablated(query, {"4b": ["1x1"]}) is not ablated
    assert backend.explanations == 2
