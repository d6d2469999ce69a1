"""The part of the page that gives a link to what it shows, and files to take away; and what a link restores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ...errors import UserError
from ...render.branches import ViewOptions
from ...service.query import Query
from ...service.service import InferenceService
from ..handlers import alert
from ..links import KINDS, OWN, Keep, Wish, wish_of
from ..text import LANGUAGES, language_of, say, say_error
from .why import WhySection

# The browser puts the link together itself: no choice of a visitor's is told to the server for it.
LINK = f"""(model, example, block, view, scale, colours, wanted, lang, chosen) => {{
  const part = example && example !== '{OWN}' ? chosen.split(' ').slice(0, -1).join(' ') : '';
  const told = {{model, example, part, block, view, scale, colours, class: wanted, lang}};
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(told)) {{
    const left = name === 'class' ? !(Number.isInteger(value) && value >= 0) : !value || value === '{OWN}';
    if (!left) query.set(name, value);
  }}
  return location.origin + location.pathname + '?' + query;
}}"""

READY = f"subject => Array({len(KINDS)}).fill({{__type__: 'update', interactive: subject !== ''}})"

# A page that comes without https may not use the clipboard; selected text it may copy all the same.
COPY = """async (link, language) => {
  const words = %s[language];
  let copied = false;
  try {
    await navigator.clipboard.writeText(link);
    copied = true;
  } catch {
    const field = document.body.appendChild(Object.assign(document.createElement('textarea'), {value: link}));
    field.select();
    copied = document.execCommand('copy');
    field.remove();
  }
  return `<p>${copied ? words[0] : words[1]}</p>`;
}"""

# What appears there is read aloud.
ALOUD = "element.setAttribute('aria-live', 'polite');"

# A file comes as text and is made within the browser; then the text is let go.
DOWNLOAD = """
watch('value', () => {
  const made = props.value;
  if (!made || !made.data) return;
  const bytes = Uint8Array.from(atob(made.data), letter => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], {type: made.kind}));
  const anchor = Object.assign(document.createElement('a'), {href: address, download: made.name});
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  props.value = null;
});
"""


class KeepSection:
    """Placed into the page that is being built; `connect` binds it to the page's events."""

    def __init__(
        self, service: InferenceService, why: WhySection, photo: gr.Image, part: gr.Textbox, photos: Sequence[Path]
    ) -> None:
        self.service, self.why, self.around, self.photo, self.part = service, why, why.around, photo, part
        self.keep = Keep(service, photos)
        words = self.wording("en")
        with gr.Column(elem_id="il-keep"):
            self.title = gr.HTML(elem_id="il-keep-title", **words["title"])
            with gr.Row(equal_height=False, elem_id="il-keep-share"):
                self.link = gr.Textbox(
                    interactive=False, lines=1, max_lines=1, min_width=260, scale=5, elem_id="il-link", **words["link"]
                )
                self.copy = gr.Button(
                    size="md", scale=0, min_width=150, variant="primary", elem_id="il-copy", **words["copy"]
                )
            self.note = gr.HTML(note_html("", "en"), elem_id="il-keep-note")
            with gr.Row(elem_id="il-keep-files"):
                self.buttons = {
                    kind: gr.Button(
                        size="md", interactive=False, min_width=150, elem_id=f"il-keep-{kind}", **words[kind]
                    )
                    for kind in KINDS
                }
            self.said = gr.HTML(js_on_load=ALOUD, elem_id="il-keep-said")
        # One for each: two files that are ready at the same moment must not take each other's place.
        self.made = {kind: gr.HTML(html_template="<i></i>", js_on_load=DOWNLOAD, visible="hidden") for kind in KINDS}
        self.example = gr.Textbox("", visible="hidden", elem_id="il-example")
        self.refused = gr.Textbox("", visible="hidden")  # why the link's network cannot be had

    def wording(self, language: str) -> dict[str, dict[str, Any]]:
        """What each component says in a language."""
        title = f"<h2>{say(language, 'keep_title')}</h2><p>{say(language, 'keep_lead')}</p>"
        return {
            "title": {"value": title},
            "link": {"label": say(language, "keep_link")},
            **{name: {"value": say(language, f"keep_{name}")} for name in ("copy", *KINDS)},
        }

    def _worded(self) -> dict[str, Any]:
        return {"title": self.title, "link": self.link, "copy": self.copy, **self.buttons}

    @property
    def worded(self) -> list[Any]:
        """All that another language changes at once."""
        return [*self._worded().values(), self.note, self.said]

    def in_language(self, query: Query | None, language: str) -> dict[Any, Any]:
        """The section's words, after the visitor chose another language."""
        words = self.wording(language)
        return {
            **{component: gr.update(**words[name]) for name, component in self._worded().items()},
            self.note: note_html(self.keep.example(query), language),
            self.said: "",
        }

    def connect(self, page: gr.Blocks) -> None:
        """Bind the handlers."""
        around = self.around
        private: dict[str, Any] = {"api_visibility": "private"}
        light: dict[str, Any] = {**private, "queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
        told = [around.model, self.example, around.block, around.view, around.scale, around.colours]
        told += [self.why.wanted, around.language, self.part]
        gr.on([page.load, *(component.change for component in told)], None, told, self.link, js=LINK, **light)
        # With a photo there is something to download.
        around.subject.change(None, around.subject, list(self.buttons.values()), js=READY, **light)
        words = {code: [say(code, "keep_copied"), say(code, "keep_not_copied")] for code in LANGUAGES}
        self.copy.click(None, [self.link, around.language], self.said, js=COPY % json.dumps(words), **light)
        asked = {around.query, around.block, around.view, around.scale, around.colours, around.language}
        for kind, button in self.buttons.items():
            # Through the queue: a zip is a second's work, and is to wait for its turn there.
            button.click(
                partial(self._on_wish, kind),
                asked,
                [self.made[kind], self.said],
                show_progress="minimal",
                show_progress_on=self.said,
                **private,
            )
        # A sentence beside the page, which whatever else is loading cannot take away; only the queue can say it.
        self.refused.change(warn, [self.refused, around.language], None, **private)

    @property
    def restored(self) -> list[Any]:
        """All that a link may change; the page itself tells the rest of another network."""
        around = self.around
        choices = [around.model, around.block, around.view, around.scale, around.colours, around.language]
        return [*choices, self.photo, self.part, self.why.wanted, self.refused]

    def restore(self, request: gr.Request) -> dict[Any, Any]:
        """What the address asks for; the language is the browser's if the address has none."""
        wish = wish_of(dict(request.query_params), self.service.models, tuple(self.keep.photos))
        language = wish.language or language_of(request.headers.get("accept-language", ""))
        return {self.around.language: language, **self._restored(wish, language)}

    def _restored(self, wish: Wish, language: str) -> dict[Any, Any]:
        around = self.around
        choices: dict[Any, Any] = {
            around.block: wish.block,
            around.view: wish.view,
            around.scale: wish.scale,
            around.colours: wish.colours,
        }
        changes = {component: value for component, value in choices.items() if value is not None}
        model = wish.model or self.service.models[0]
        try:
            classes = len(self.service.pretrained(model).labels)
        except UserError as error:
            # Another network's answer in its place would be taken for the one that the link promised.
            return {**changes, self.refused: say_error(language, error)}
        if model != self.service.models[0]:
            changes |= {around.model: model, **self.why.of_network(model, language)}
        if wish.wanted is not None and wish.wanted < classes:
            listed = self.why.wording(model, language)["wanted"]
            changes[self.why.wanted] = gr.update(value=wish.wanted, **listed)
        if wish.example is not None:
            changes[self.photo] = self.keep.photo(wish.example)
            if wish.part is not None:
                changes[self.part] = self.keep.part(wish.example, wish.part)
        return changes

    @property
    def told(self) -> list[Any]:
        """All that another photo changes."""
        return [self.example, self.note]

    def of_photo(self, query: Query | None, language: str) -> dict[Any, Any]:
        """Another photo is in the link, or is not."""
        example = self.keep.example(query)
        return {self.example: example, self.note: note_html(example, language)}

    def _on_wish(self, kind: str, data: dict[Any, Any]) -> dict[Any, Any]:
        """A file is made, now that somebody asks for it."""
        around, query, language = self.around, data[self.around.query], data[self.around.language]
        if query is None:
            return {self.said: f"<p>{escape(say(language, 'keep_no_photo'))}</p>"}
        try:
            picture = ViewOptions(data[around.block], data[around.view], data[around.scale], data[around.colours])
            made = self.keep.make(kind, query, picture, date.today().isoformat(), language)
        except Exception as error:
            return {self.said: alert(error, language)}
        told = escape(say(language, "keep_made", name=made.name, size=made.size))
        return {self.made[kind]: made.payload(), self.said: f"<p>{told}</p>"}


def note_html(example: str, language: str) -> str:
    """What is in the link, and what is not."""
    key = {"": "keep_no_photo", OWN: "keep_own"}.get(example, "keep_in_link")
    return f"<p>{escape(say(language, key))}</p>"


def warn(sentence: str, language: str) -> None:
    """Said where Gradio says such things."""
    if sentence:
        gr.Warning(escape(sentence), duration=None, title=escape(say(language, "model")))
