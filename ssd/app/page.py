"""The page itself, in Gradio."""

from collections.abc import Sequence
from pathlib import Path
from threading import Semaphore
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from ssd.app.results import COLUMNS, Models, Predicted, annotate_film, class_names, make_choice, predict, records, show
from ssd.detector import MIN_SCORE
from ssd.errors import InputError
from ssd.text import one_line

Upload = dict[str, Any]  # a file as Gradio describes it

THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # none is fetched
MAX_OVERLAP = 0.45
WIDTHS: list[str | int] = ["30%", "20%", "50%"]  # of COLUMNS
PROBLEMS = (InputError, OSError)
PROGRESS = gr.Progress()
KEPT = 3600  # seconds that uploads, results and predictions are kept
MOST_AT_ONCE = 4  # calls of one kind; those that run a network have their own limits
MOST_SESSIONS = 100  # whose predictions are kept; those that were not used for longest go first


class Page:
    """The page's parts and what they do.

    models: side by side on the page. examples: paths of pictures.
    """

    def __init__(self, models: Models, examples: Sequence[Path]):
        self.models = models
        self.busy: set[str | None] = set()  # sessions whose video is being worked on
        self.slots = Semaphore(MOST_AT_ONCE)  # each call of a method below that computes has one
        with gr.Blocks(
            title="SSD300", analytics_enabled=False, fill_width=True, delete_cache=(60, KEPT)
        ) as self.blocks:
            gr.Markdown("# SSD300")
            with gr.Tab("Picture"), gr.Row():
                self._picture_tab([str(path) for path in examples])
            with gr.Tab("Video"), gr.Row():
                self._video_tab()
            self.blocks.unload(self.stop)
        self.blocks.queue(default_concurrency_limit=MOST_AT_ONCE)

    def launch(self, host: str, port: int, most_megabytes: int) -> str:
        """Serve the page, and return its address. most_megabytes: of an upload."""
        _, address, _ = self.blocks.launch(
            server_name=host, server_port=port, share=False, ssr_mode=False, mcp_server=False, run_history=False,
            prevent_thread_lock=True, quiet=True, show_error=True, theme=THEME, footer_links=["api", "settings"],
            max_file_size=f"{most_megabytes}mb", state_session_capacity=MOST_SESSIONS,
        )  # fmt: skip
        return address

    def close(self) -> None:
        """End the server. Waits for what is being computed, since Python must not end under PyTorch's threads."""
        self.busy.clear()
        self.blocks.close(verbose=False)
        for _ in range(MOST_AT_ONCE):
            self.slots.acquire()

    def _controls(self) -> list[gr.Slider | gr.Dropdown]:
        """The three parts of a `Choice`."""
        overlaps = "Of two detections of a class whose IoU exceeds this, the better one is kept."
        return [
            gr.Slider(0.01, 1, MIN_SCORE, step=0.01, label="Score", info="Detections must score more than this."),
            gr.Slider(0, 1, MAX_OVERLAP, step=0.01, label="Overlap", info=overlaps),
            gr.Dropdown(class_names(self.models), multiselect=True, label="Classes", info="Leave empty to see all."),
        ]

    def _picture_tab(self, examples: list[str]) -> None:
        predicted = gr.State(time_to_live=KEPT)
        with gr.Column(scale=1, min_width=320):
            photo = gr.Image(label="Picture", height=320, buttons=[])
            if examples:
                gr.Examples(examples, photo, examples_per_page=12, api_visibility="private")
            message = _line_of_text()
            controls = self._controls()
        shown = []
        for name in self.models:
            with gr.Column(scale=2, min_width=320):
                shown += [
                    _line_of_text(name),
                    gr.Image(show_label=False, interactive=False, buttons=["fullscreen"]),  # a label would hide tags
                    gr.Dataframe(
                        headers=list(COLUMNS), interactive=False, show_label=False, column_widths=WIDTHS, wrap=True
                    ),
                    gr.File(label="Downloads: picture, JSON, VOC, YOLO", file_count="multiple", interactive=False),
                ]
        photo.change(
            self.look, [photo, *controls], [predicted, message, *shown],
            api_visibility="private", concurrency_id="network", concurrency_limit=1, preprocess=False,
        )  # fmt: skip
        gr.on(
            [control.change for control in controls], self.choose, [predicted, *controls], [message, *shown],
            api_visibility="private", trigger_mode="always_last", show_progress="hidden", preprocess=False,
        )  # fmt: skip
        gr.Button(visible=False).click(
            self.detect, [photo, *controls], gr.JSON(visible=False),
            api_name="detect", concurrency_id="network", preprocess=False,
        )  # fmt: skip

    def _video_tab(self) -> None:
        held, names = gr.State(time_to_live=KEPT), list(self.models)
        with gr.Column(scale=1, min_width=320):
            video = gr.Video(label="Video", sources=["upload"], height=320, buttons=[])
            with gr.Row():
                start, stop = gr.Button("Start", variant="primary"), gr.Button("Stop")
            controls = self._controls()
            model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
        with gr.Column(scale=2, min_width=320):
            film = gr.Video(label="Detections", height=480, interactive=False, buttons=[])
            message = _line_of_text()
            files = gr.File(label="Downloads: video, JSON Lines", file_count="multiple", interactive=False)
        start.click(
            self.annotate, [video, *controls, model], [held, film, message, files],
            api_visibility="private", concurrency_limit=1, show_progress_on=film, preprocess=False,
        )  # fmt: skip
        stop.click(self.stop, api_visibility="private")

    # The inputs are as the browser or a program sends them, since Gradio would print errors about them.

    def look(self, upload: Upload | None, *choice: Any) -> list[Any]:
        """A new picture: predict, and show what is chosen."""
        if upload is None:
            return [None, *self._nothing("")]
        try:
            with self.slots:
                predicted = predict(self.models, _uploaded(upload))
        except PROBLEMS as error:
            return [None, *self._nothing(_sentence(error, upload))]
        return [predicted, *self.choose(predicted, *choice)]

    def choose(self, predicted: Predicted | None, *choice: Any) -> list[Any]:
        """Other thresholds or classes: show what is chosen now, from the same predictions."""
        if predicted is None or not predicted.path.exists():
            return self._nothing("Choose a picture first, or again: results are kept for an hour.")
        try:
            with self.slots:
                shown = show(self.models, predicted, make_choice(self.models, *choice))
        except PROBLEMS as error:
            return self._nothing(_sentence(error, {"path": str(predicted.path)}))
        width, height = predicted.size
        return [f"{predicted.path.name}, {width} x {height} pixels", *(part for one in shown for part in one)]

    def annotate(
        self, upload: Upload | None, min_score: float, max_overlap: float, classes: list[str], model: str,
        request: gr.Request, progress: gr.Progress = PROGRESS,
    ) -> list[Any]:  # fmt: skip
        """A video: find objects in it, until its end or until `stop`."""
        if upload is None:
            return [None, None, "Choose a video first.", None]
        self.busy.add(request.session_hash)

        def tell(n: int, n_frames: int | None) -> None:
            progress((n, n_frames), unit="frames")
            if request.session_hash not in self.busy:
                raise InputError(f"{upload['path']}: stopped")

        try:
            choice = make_choice(self.models, min_score, max_overlap, classes)
            with self.slots:
                film = annotate_film(self.models[model], _uploaded(upload), choice, tell)
        except PROBLEMS as error:
            return [None, None, _sentence(error, upload), None]
        finally:
            self.stop(request)
        return [film, next(iter(film.files), None), _sentence(film.message, upload), film.files]

    def stop(self, request: gr.Request) -> None:
        """End the work on the video of this session."""
        self.busy.discard(request.session_hash)

    def detect(self, picture: Upload | None, min_score: float, max_overlap: float, classes: list[str]) -> list[dict]:
        """The objects in a picture, for each model."""
        try:
            choice = make_choice(self.models, min_score, max_overlap, classes)
            with self.slots:
                return records(self.models, predict(self.models, _uploaded(picture)), choice)
        except PROBLEMS as error:
            raise gr.Error(_sentence(error, picture), print_exception=False) from None

    def _nothing(self, message: str) -> list[Any]:
        return [message, *(part for name in self.models for part in (name, None, None, None))]


def _line_of_text(value: str = "") -> gr.Textbox:
    """Text that is shown as it is."""
    return gr.Textbox(value, show_label=False, container=False, interactive=False, max_lines=4)


def _uploaded(upload: Upload | None) -> Path:
    """The path of an uploaded file. Gradio checks it for a video, but not for a picture."""
    path = Path(_path(upload)).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise InputError("this file was not uploaded")
    return Path(_path(upload))


def _sentence(told: object, upload: Upload | None) -> str:
    """What is told of a file, which is named as the user knows it."""
    return one_line(str(told).replace(_path(upload), Path(_path(upload)).name))


def _path(upload: Upload | None) -> str:
    return upload and upload["path"] or ""
