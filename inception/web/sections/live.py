"""The camera as a stream: the page's script sends a frame whenever the answer to the one before has come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from ...errors import UserError
from ...prediction import Prediction
from ...render.maps import overlay, scale_limits
from ...service.service import InferenceService
from ..class_names import class_names
from ..handlers import alert, as_source
from ..panels.block import branch_name, data_url, message_html, short
from ..text import say

SHOWN_CLASSES, MAP_SIDE = 3, 192  # pixels

# Frames are the middle square, as the network would cut it, and so small that each takes about 15 kB. With
# `trigger_mode="once"` the page drops those that come while one is being answered.
CAMERA = """
const SIDE = 256, EVERY = 120;
const canvas = document.createElement('canvas');
canvas.width = canvas.height = SIDE;
let stream = null, timer = null;
const part = name => element.querySelector(name);
const mark = () => {
  const button = part('button');
  if (!button) return;
  button.textContent = stream ? button.dataset.stop : button.dataset.start;
  button.setAttribute('aria-pressed', String(stream !== null));
  part('video').hidden = stream === null;
};
const stop = () => {
  clearInterval(timer);
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  mark();
};
const send = () => {
  const video = part('video');
  if (!video?.srcObject) return stop();  // drawn anew, in another language
  if (document.hidden || element.offsetParent === null || !video.videoWidth) return;
  const side = Math.min(video.videoWidth, video.videoHeight);
  const left = (video.videoWidth - side) / 2, top = (video.videoHeight - side) / 2;
  canvas.getContext('2d').drawImage(video, left, top, side, side, 0, 0, SIDE, SIDE);
  trigger('frame', {photo: canvas.toDataURL('image/jpeg', 0.85)});
};
const start = async () => {
  part('[role=alert]').textContent = '';
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch {
    part('[role=alert]').textContent = part('button').dataset.refused;
    return;
  }
  part('video').srcObject = stream;
  mark();
  timer = setInterval(send, EVERY);
};
element.addEventListener('click', event => {
  if (event.target.closest('button')) stream ? stop() : start();
});
"""


class LiveSection:
    """Placed into the page that is being built; `connect` binds it to the page's events."""

    def __init__(self, service: InferenceService, model: gr.Dropdown, block: gr.Radio, language: gr.Radio) -> None:
        self.service = service
        self.model, self.block, self.language = model, block, language
        words = self.wording("en")
        with gr.Accordion(open=False, elem_id="il-live", **words["live"]) as self.whole:
            self.camera = gr.HTML(js_on_load=CAMERA, elem_id="il-camera", **words["camera"])
            self.shown = gr.HTML(elem_id="il-live-shown")

    def wording(self, language: str) -> dict[str, dict[str, Any]]:
        """What each component says in a language."""
        return {"live": {"label": say(language, "live")}, "camera": {"value": camera_html(language)}}

    @property
    def worded(self) -> list[Any]:
        """All that another language changes at once."""
        return [self.whole, self.camera, self.shown]

    def in_language(self, language: str) -> dict[Any, Any]:
        """The section's words, after the visitor chose another language."""
        words = self.wording(language)
        return {
            self.whole: gr.update(**words["live"]),
            self.camera: gr.update(**words["camera"]),
            self.shown: "",
        }

    def connect(self) -> None:
        """Bind the handler."""
        self.camera.frame(
            self._on_frame,
            {self.model, self.block, self.language},
            self.shown,
            queue=False,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
        )

    def _on_frame(self, data: dict[Any, Any], event: gr.EventData) -> str:
        return self.frame(getattr(event, "photo", ""), data[self.model], data[self.block], data[self.language])

    def frame(self, photo: object, model: str, block: str, language: str) -> str:
        """The HTML for one frame, a `data:` address. It is not remembered: no frame comes twice."""
        if not isinstance(photo, str) or not photo.startswith("data:"):
            return message_html(say(language, "went_wrong"), alarm=True)  # not sent by this page
        try:
            pretrained = self.service.pretrained(model)
            query = self.service.query(model, as_source(photo))
            facts = self.service.facts(model)[block]
            names = {fact.branch: branch_name(fact, language) for fact in facts}
            classes = class_names(pretrained, language, short=True)
            return live_html(self.service.prediction_uncached(query), block, names, classes, language)
        except (UserError, KeyError) as error:
            return alert(error, language)


def camera_html(language: str) -> str:
    """A button, and the camera's picture where it runs."""
    told = {name: escape(say(language, f"live_{name}")) for name in ("lead", "start", "stop", "refused", "video")}
    return (
        f'<div class="il-camera"><p>{told["lead"]}</p>'
        f'<button type="button" aria-pressed="false" data-start="{told["start"]}" data-stop="{told["stop"]}" '
        f'data-refused="{told["refused"]}">{told["start"]}</button><p role="alert"></p>'
        f'<video autoplay muted playsinline hidden aria-label="{told["video"]}"></video></div>'
    )


def live_html(
    prediction: Prediction, block: str, names: Mapping[str, str], classes: Sequence[str], language: str
) -> str:
    """The best classes of a frame and the four mean maps of a block on it, on one scale."""
    means = {branch: maps.mean(axis=0, keepdims=True) for branch, maps in prediction.branches(block).items()}
    bounds = scale_limits(means, "shared")
    answers = "".join(
        f'<li><span style="width:{100 * guess.probability:.0f}%"></span><b>{escape(classes[guess.index])}</b> '
        f"{guess.probability:.0%}</li>"
        for guess in prediction.top(SHOWN_CLASSES)
    )
    told = {branch: escape(say(language, "live_map", branch=names[branch], block=block)) for branch in means}
    figures = "".join(
        f'<figure class="il-{branch}"><img alt="{told[branch]}" '
        f'src="{data_url(overlay(prediction.image, values[0], bounds[branch][0], size=MAP_SIDE))}">'
        f"<figcaption>{escape(names[branch])}</figcaption></figure>"
        for branch, values in means.items()
    )
    highest = short(next(iter(bounds.values()))[0].high)
    return (
        f'<section class="il-live"><ol aria-label="{escape(say(language, "live_answers"))}">{answers}</ol>'
        f'<div class="il-live-maps">{figures}</div>'
        f"<p>{escape(say(language, 'live_scale', block=block, highest=highest))}</p></section>"
    )
