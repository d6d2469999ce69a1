"""The page's components, and which function answers which event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from ..errors import UserError
from ..network.blocks import BLOCKS
from ..render.branches import VIEWS, ViewOptions
from ..render.maps import COLOURS, SCALES
from ..runtime.resources import resource
from ..service.service import InferenceService
from ..vision.photo import MAX_BYTES
from ..vision.preprocessing import CENTRE_CROP
from .api.documentation import DescribedPage
from .api.endpoints import add_endpoints
from .api.snippets import ROUTES
from .handlers import Handlers, alert, source_of
from .http.guard import RequestGuard
from .http.statuses import ErrorStatusMiddleware, argument_name_error
from .http.upload_form import MEGABYTE
from .http.uploads import KEEP_SECONDS, MAX_SESSIONS, cleanup_interval, expired_photo_error
from .panels.block import header_html, message_html
from .panels.network_map import FOLLOW, PICKED
from .panels.network_map import PICK as PICK_BLOCK
from .panels.part import CHOSEN, MOVE
from .photo_input import PhotoInput
from .refusal import SAID
from .sections.compare import CompareSection
from .sections.keep import KeepSection
from .sections.lesson import LessonSection
from .sections.live import LiveSection
from .sections.why import PICK, Around, WhySection
from .stage.assets import ROUTES as STAGE_ROUTES
from .stage.endpoints import add_stage_events
from .text import LANGUAGES, say

EXAMPLES = resource("examples")
STYLES = sorted((Path(__file__).parent / "static").glob("*.css"))
API_PAGE = (Path(__file__).parent / "static" / "api_page.js").read_text("utf-8")
SYSTEM_FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
QUEUE_SIZE = 16  # events that may wait, for each that is computed at once

# Gradio says so in English only, and only after it had a look at it.
HEAVY = """
const refuse = event => {
  const files = [...(event.target.files ?? event.dataTransfer?.files ?? [])];
  const heavy = files.find(file => file.size > LIMIT);
  if (!heavy || !event.target.closest('#il-photo, #il-other-photo')) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.target.files) event.target.value = '';
  trigger('heavy', {bytes: heavy.size});
};
for (const kind of ['change', 'drop']) document.addEventListener(kind, refuse, true);
""".replace("LIMIT", str(MAX_BYTES))

# Gradio's example pictures are buttons without a name. They are drawn again in another language.
NAME_EXAMPLES = """() => setTimeout(() => {
  for (const button of document.querySelectorAll('#il-examples button.gallery-item')) {
    const file = decodeURIComponent(button.querySelector('img')?.src.split('/').pop() ?? '');
    button.setAttribute('aria-label', file.split('.')[0].replaceAll('_', ' '));
  }
}, 300)"""


# Whether the panels show what is wanted, so that only where they do not the server is asked. Where the same was asked
# before and overwritten by what came late, the time makes it another text.
DIFFERS = """(subject, block, view, scale, colours, language, drawn, again) => {
  const wanted = [subject, block, view, scale, colours, language].join(' ');
  return wanted === drawn ? again : `${wanted} ${performance.now()}`;
}"""


def build(
    service: InferenceService, keep_seconds: float = KEEP_SECONDS, *, gradio_cleanup: bool = True
) -> DescribedPage:
    """Build the whole page, to be launched with `launch_options`.

    Args:
        service: computes what the page shows.
        keep_seconds: for which an uploaded photo and its results are kept.
        gradio_cleanup: whether Gradio deletes them then; False if the app's lifespan does (`uploads.cleanup_lifespan`).
    """
    handlers = Handlers(service)
    words = wording(service, "en")
    deletion = (cleanup_interval(keep_seconds), keep_seconds) if gradio_cleanup else None
    with DescribedPage(title=say("en", "title"), analytics_enabled=False, delete_cache=deletion) as page:
        query = gr.State(None, time_to_live=keep_seconds)
        # A short name of the look, whose change the browser sees.
        subject = gr.Textbox("", visible="hidden", elem_id="il-subject")
        drawn = gr.Textbox("", visible="hidden", elem_id="il-drawn")  # what the panels show, as `shown_by` tells it
        working = gr.State(service.models[0])  # the last network that could be had
        with gr.Row(elem_id="il-top"):
            header = gr.HTML(elem_id="il-header", scale=4, **words["header"])
            language = gr.Radio(value="en", elem_id="il-language", scale=1, min_width=200, **words["language"])
        notice = gr.HTML(elem_id="il-notice", **words["notice"])
        lesson = LessonSection(service)
        with gr.Row():
            with gr.Column():
                photo = PhotoInput(
                    sources=["upload", "webcam", "clipboard"],
                    height=340,
                    format="png",
                    buttons=["fullscreen"],
                    elem_id="il-photo",
                    **words["photo"],
                )
                examples = gr.Examples(
                    [[str(path)] for path in example_photos()],
                    [photo],
                    elem_id="il-examples",
                    api_visibility="private",
                    **words["examples"],
                ).dataset
            with gr.Column():
                with gr.Row():
                    model = gr.Dropdown(
                        value=service.models[0], elem_id="il-model", min_width=290, scale=3, **words["model"]
                    )
                    top_k = gr.Slider(
                        1, 10, value=5, step=1, elem_id="il-top-k", min_width=160, scale=2, **words["top_k"]
                    )
                alarm = gr.HTML(js_on_load=HEAVY + SAID + API_PAGE, elem_id="il-alarm")
                answer = gr.Label(elem_id="il-answer", **words["answer"])
                seen = gr.HTML(js_on_load=MOVE, elem_id="il-seen")
                # Which part of the photo the network is to see; set by the browser itself.
                part = gr.Textbox("", visible="hidden", elem_id="il-part")
                renew = gr.Textbox("", visible="hidden")  # a photo that is to be another, or none
                photo_name = gr.Textbox("", visible="hidden", elem_id="il-photo-name")
        network = gr.HTML(
            handlers.network(None, service.models[0], "3a", "en"), js_on_load=PICK_BLOCK, elem_id="il-map"
        )
        block = gr.Radio(list(BLOCKS), value="3a", elem_id="il-block", **words["block"])
        with gr.Row():
            view = gr.Radio(value=VIEWS[0], elem_id="il-view", min_width=300, scale=5, **words["view"])
            scale = gr.Radio(value=SCALES[0], elem_id="il-scale", min_width=300, scale=6, **words["scale"])
            colours = gr.Dropdown(
                list(COLOURS), value=COLOURS[0], elem_id="il-colours", min_width=140, scale=2, **words["colours"]
            )
        panels = gr.HTML(message_html(say("en", "waiting")), js_on_load=PICK, elem_id="il-panels")
        why = WhySection(service, Around(query, subject, model, block, view, scale, colours, panels, language))
        keep = KeepSection(service, why, photo, part, example_photos())
        compare = CompareSection(service)
        live = LiveSection(service, model, block, language)
        with gr.Accordion(open=False, elem_id="il-about", **words["about"]) as about:
            provenance = gr.HTML(handlers.about(service.models[0], "en"))

        worded = {
            "header": header,
            "language": language,
            "notice": notice,
            "photo": photo,
            "examples": examples,
            "model": model,
            "top_k": top_k,
            "answer": answer,
            "block": block,
            "view": view,
            "scale": scale,
            "colours": colours,
            "about": about,
        }
        picture = {block, view, scale, colours}

        def picture_of(data: dict[Any, Any]) -> ViewOptions:
            return ViewOptions(data[block], data[view], data[scale], data[colours])

        def of_device(chosen: str) -> dict[Any, Any]:
            """What has happened to the device since the page was opened."""
            return {notice: handlers.device_notice(chosen)}

        def label_of(classes: dict[str, float] | None) -> Any:
            """What the browser takes: these handlers speak its language, as Gradio's translation costs a wait for
            a thread for each component, which in a class are many."""
            label = answer.postprocess(classes)
            return label if isinstance(label, dict) else label.model_dump()

        def on_photo(data: dict[Any, Any]) -> dict[Any, Any]:
            source = source_of(data[photo])
            if handlers.viewable(source) is not None:
                # Comes back here as a photo that the browser can show.
                return {renew: source}
            shown = handlers.answer(source, data[model], data[top_k], picture_of(data), data[language], data[part])
            changes: dict[Any, Any] = {query: shown.query, answer: label_of(shown.answer), seen: shown.seen}
            changes[panels] = shown.block
            changes[subject] = "" if shown.query is None else f"{shown.query.model} {shown.query.digest}"
            changes[drawn] = shown_by(changes[subject], picture_of(data), data[language])
            changes[network] = handlers.network(shown.query, data[model], data[block], data[language])
            changes |= keep.of_photo(shown.query, data[language])
            changes |= why.invitation(shown.query, data[block], data[language])
            if shown.query is not None and shown.query.crop == CENTRE_CROP:
                # What was said of another photo is no more said.
                changes[part] = ""
            changes |= of_device(data[language])
            if source is None:
                # The photo may have been taken away because it was refused: what was said of it stays.
                return {**changes, renew: ""}
            return {**changes, alarm: shown.alarm, renew: source if shown.query is None else ""}

        def on_renew(path: str | None, wanted: str) -> Any:
            """In place of a photo that cannot be shown: one that can, or none if it was refused."""
            return handlers.viewable(path) if wanted else gr.skip()

        def on_model(data: dict[Any, Any]) -> dict[Any, Any]:
            try:
                service.pretrained(data[model])
            except UserError as error:
                # What is on the page stays, and the choice goes back to the network that made it.
                return {alarm: alert(error, data[language]), model: data[working]}
            about = handlers.about(data[model], data[language])
            classes = why.of_network(data[model], data[language])
            return {alarm: "", **on_photo(data), **classes, provenance: about, working: data[model]}

        def on_picture(data: dict[Any, Any]) -> dict[Any, Any]:
            """Also after a photo: another block may have been chosen while the network was looking."""
            wanted = shown_by(data[subject], picture_of(data), data[language])
            before = data[drawn]
            if before == wanted:
                return {drawn: gr.skip()}
            is_gone = data[query] is None and data[subject]  # the page was left open for longer than photos are kept
            changes: dict[Any, Any] = {
                drawn: wanted,
                panels: alert(expired_photo_error(), data[language])
                if is_gone
                else handlers.block(data[query], picture_of(data), data[language]),
                seen: handlers.seen(data[query], data[language]),
                **of_device(data[language]),
            }
            if why.is_whole(data) or before.split()[:-4] != wanted.split()[:-4]:
                changes |= why.invitation(data[query], data[block], data[language])
            if before.rpartition(" ")[2] != data[language]:
                changes[answer] = label_of(handlers.top(data[query], data[top_k], data[language]))
            return changes

        def on_heavy(data: dict[Any, Any], event: gr.EventData) -> str:
            sent = getattr(event, "bytes", 0)
            megabytes = sent / MEGABYTE if isinstance(sent, int | float) and 0 <= sent <= 2**53 else 0
            told = say(data[language], "guard_photo_size", megabytes=megabytes, limit=MAX_BYTES // MEGABYTE)
            return message_html(told, alarm=True)

        def on_top_k(data: dict[Any, Any]) -> dict[str, float] | None:
            return handlers.top(data[query], data[top_k], data[language])

        def on_language(data: dict[Any, Any]) -> dict[Any, Any]:
            chosen = data[language]
            return {
                **{worded[name]: gr.update(**words) for name, words in wording(service, chosen).items()},
                **why.in_language(data),
                **lesson.in_language(chosen),
                **keep.in_language(data[query], chosen),
                **live.in_language(chosen),
                **compare.in_language(chosen),
                provenance: handlers.about(data[model], chosen),
                network: handlers.network(data[query], data[model], data[block], chosen),
                alarm: "",
            }

        def on_load(request: gr.Request) -> dict[Any, Any]:
            changes = keep.restore(request)
            changes |= of_device(changes[language])
            if (named := changes.get(model)) is not None:
                changes |= {working: named, provenance: handlers.about(named, changes[language])}
                changes[network] = handlers.network(None, named, changes.get(block, "3a"), changes[language])
            return changes

        private: dict[str, Any] = {"api_visibility": "private", "trigger_mode": "always_last"}
        everything = {photo, part, model, top_k, language, *picture}
        untranslated: dict[str, Any] = {"preprocess": False, "postprocess": False}
        # Answered by one request of its own; what waits in the queue takes two, and twice the server's time.
        light = {**private, "queue": False, "show_progress": "hidden"}
        results = [query, subject, drawn, answer, seen, network, panels, alarm, notice]
        results += [*keep.told, part, renew, why.result]
        at_once = service.backend.at_once
        gr.on(
            [photo_name.change, part.change],
            on_photo,
            everything,
            results,
            show_progress="minimal",
            # Half as many more are opened or drawn meanwhile.
            concurrency_limit=at_once * 3 // 2,
            **untranslated,
            **private,
        )
        renew.change(on_renew, [photo, renew], photo, **light)
        seen.part(None, None, part, js=CHOSEN, **light)
        # Gradio tells of one new photo twice: of the text that names it, once.
        photo.change(None, photo, photo_name, js="photo => photo?.path ?? photo?.url ?? ''", **light)
        # `input` and not `change`: going back to the network before is no choice of the visitor's.
        model.input(
            on_model,
            {*everything, working},
            [*results, provenance, model, working, why.wanted],
            show_progress="minimal",
            **untranslated,
            **private,
        )
        seen_by = [subject, block, view, scale, colours, language]
        again = gr.Textbox("", visible="hidden", elem_id="il-again")
        gr.on([one.change for one in (*seen_by, drawn)], None, [*seen_by, drawn, again], again, js=DIFFERS, **light)
        again.change(
            on_picture,
            {query, subject, drawn, language, top_k, why.switches, why.channels_off, *picture},
            [drawn, panels, seen, answer, notice, why.result],
            **untranslated,
            **light,
        )
        # The drawing and the selector below it follow each other within the browser.
        network.pick(None, None, block, js=PICKED, **light)
        # Also after a photo's answer, which may have been asked for with the block before.
        gr.on([block.change, panels.change], None, block, None, js=FOLLOW, **light)
        alarm.heavy(on_heavy, {language}, alarm, **light)
        top_k.change(on_top_k, {query, top_k, language}, answer, **light)
        language.change(
            on_language,
            why.asked,
            [
                *worded.values(),
                provenance,
                network,
                alarm,
                *why.worded,
                *lesson.worded,
                *keep.worded,
                *live.worded,
                *compare.worded,
            ],
            **light,
        )
        why.connect()
        keep.connect(page)
        live.connect()
        compare.connect(query, subject, photo, block, language)
        lesson.connect(page, why.around, photo, why)
        gr.on([page.load, language.change], None, None, None, js=NAME_EXAMPLES, **light)
        page.load(on_load, None, [*keep.restored, working, provenance, network, notice], **light)
        page.endpoints = add_endpoints(service)
        add_stage_events(service, example_photos())
    page.state_session_capacity = MAX_SESSIONS  # for a mounted page; `launch` sets it from `launch_options`
    # A limit for each event: choosing another block never waits behind explanations.
    page.queue(default_concurrency_limit=max(1, at_once // 2), max_size=QUEUE_SIZE * at_once, api_open=False)
    return page


def shown_by(subject: str, picture: ViewOptions, language: str) -> str:
    """What panels show, as `DIFFERS` puts it together in the browser."""
    return " ".join((subject, picture.block, picture.view, picture.scale, picture.colours, language))


def wording(service: InferenceService, language: str) -> dict[str, dict[str, Any]]:
    """What each component says in a language, as its constructor and `gr.update` take it."""

    def choices(kind: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(say(language, f"{kind}_{value}"), value) for value in values]

    handlers = Handlers(service)
    return {
        "header": {"value": header_html(language)},
        "language": {
            "label": say(language, "language"),
            "choices": [(name, code) for code, name in LANGUAGES.items()],
        },
        "notice": {"value": handlers.device_notice(language)},
        "photo": {"label": say(language, "photo"), "placeholder": say(language, "photo_hint")},
        "examples": {"label": say(language, "examples")},
        "model": {
            "label": say(language, "model"),
            "info": say(language, "model_info"),
            "choices": handlers.model_choices(language),
        },
        "top_k": {"label": say(language, "top_k")},
        "answer": {"label": say(language, "answer")},
        "block": {"label": say(language, "block"), "info": say(language, "block_info")},
        "view": {"label": say(language, "view"), "choices": choices("view", VIEWS)},
        "scale": {"label": say(language, "scale"), "choices": choices("scale", SCALES)},
        "colours": {"label": say(language, "colours")},
        "about": {"label": say(language, "about")},
    }


def launch_options() -> dict[str, Any]:
    """Return the arguments of `launch`, or of `gr.mount_gradio_app`, that belong to this page."""
    theme = gr.themes.Default(
        primary_hue="blue",
        secondary_hue="blue",
        neutral_hue="slate",
        font=SYSTEM_FONTS,
        font_mono=("ui-monospace", "monospace"),
    ).set(
        # Gradio's own greys are too pale to be read on a projector.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        # And its blue too bright for white words on it.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )
    return {
        "css_paths": STYLES,
        "theme": theme,
        "show_error": False,
        "footer_links": ["api", "settings"],
        "app_kwargs": {
            "middleware": [Middleware(RequestGuard), Middleware(ErrorStatusMiddleware)],
            "routes": [*ROUTES, *STAGE_ROUTES],
            "exception_handlers": {TypeError: argument_name_error},
        },
        "max_file_size": MAX_BYTES,
        # Outside the working directory, Gradio renders the examples in another language only from these folders.
        "allowed_paths": [str(EXAMPLES)],
        "state_session_capacity": MAX_SESSIONS,
        "mcp_server": False,  # Gradio's; ours is `mcp.server.with_tools`
        # Gradio would store inputs in the browser, for its next user to see, and count usage for the operator.
        "run_history": False,
        "enable_monitoring": False,
    }


def example_photos() -> list[Path]:
    """Return the paths of the example photos, sorted by name."""
    return sorted(EXAMPLES.glob("*.jpg"))
