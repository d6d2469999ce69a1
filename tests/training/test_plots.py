"""Plots: unusual class names, and the legend of the reliability diagram."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from inception.render.fonts import face_for
from inception.training import plots


@pytest.mark.parametrize("names", [("$5_$", "b^$2$"), ("$a_$", "b")])
def test_dollar_signs_in_class_names_do_not_start_a_formula(names: tuple[str, str]) -> None:
    photo = Image.new("RGB", (8, 8))
    assert plots.confusion(np.eye(2, dtype=int), names).width > 100
    assert plots.mistakes([(photo, f"{names[0]}, 90%", f"is {names[1]}")]).width > 100


def test_chinese_class_names_are_drawn_with_a_font_that_has_them() -> None:
    if face_for("猫狗") is None:
        pytest.skip("this machine has no Chinese font")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cats, dogs = (plots.confusion(np.eye(2, dtype=int), [name, "b"]) for name in ("猫", "狗"))
        plots.mistakes([(Image.new("RGB", (8, 8)), "猫, 90%", "is 狗")])
    assert cats.tobytes() != dogs.tobytes(), "a missing glyph would look the same for both"


def test_the_legend_states_the_error_over_the_drawn_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    legends: list[str] = []
    rendered = plots._rendered

    def record_legend(figure):
        legends.extend(text.get_text() for text in figure.axes[0].get_legend().get_texts())
        return rendered(figure)

    monkeypatch.setattr(plots, "_rendered", record_legend)
    # 75 photos make three bins; all are in the last, with confidence 0.8 and accuracy 0.6.
    plots.reliability({"as trained": (np.full(75, 0.8), np.arange(75) < 45)})
    assert legends == ["perfect calibration", "as trained, error 0.200 in 3 bins"]
