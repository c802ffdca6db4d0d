"""Media and readiness over HTTP, beside the screens.

    /app/static/video/{id}.mp4      Range, ETag, HEAD; ?download=1 for a file with a readable name
    /app/static/video/{id}.json     the sidecar
    /app/static/poster/{id}.webp    /app/static/animation/{id}.webp
    /app/static/export/{kind}/{id}  the video as GIF, as WebM or as PNG frames; made on request
    /app/static/comparison/{id}_{id}.mp4   two videos side by side, after their comparison
    /app/static/archive/{name}.zip  many videos and their settings as one ZIP, made while it is sent
    /app/static/preview/{id}.webp   the current picture of a running job
    /app/static/audition/{id}.webp  the contact sheet of a seed audition
    /app/static/example/{id}.mp4    a video that ships with the studio
    /api/ready                      200 or 503

Files are sent from the disk in pieces, so no complete file is in memory. Only the studio turns an id into a path,
and it refuses a text that is no id. `/app/static/` is a prefix that Streamlit's media elements do not change.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from core.errors import StudioError
from core.library.media.export_formats import EXPORT_FORMATS
from core.studio import Studio
from core.web.archive import archive, members
from core.web.errors import FRESH, SAFE, refused, sentence, status_of

SLUG_LENGTH = 48
_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
_REVALIDATED = {"Cache-Control": "private, no-cache"}


def slug(prompt: str) -> str:
    """A file name from a prompt: ASCII letters, digits and hyphens, at most 48 characters, never empty."""
    ascii_text = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode("ascii").lower()
    words = re.findall(r"[a-z0-9]+", ascii_text)
    return "-".join(words)[:SLUG_LENGTH].strip("-") or "video"


def routes(studio: Callable[[], Studio]) -> list[Route]:
    """The routes of the studio that `studio` returns. It is called for each request, so the studio may open late."""
    media = Media(studio)
    return [
        Route("/app/static/video/{id}.mp4", media.video),
        Route("/app/static/video/{id}.json", media.sidecar),
        Route("/app/static/poster/{id}.webp", media.poster),
        Route("/app/static/animation/{id}.webp", media.animation),
        Route("/app/static/export/{kind}/{id}", media.rendition),
        Route("/app/static/comparison/{a}_{b}.mp4", media.comparison),
        Route("/app/static/archive/{name}.zip", media.archive),
        Route("/app/static/preview/{id}.webp", media.preview),
        Route("/app/static/audition/{id}.webp", media.audition),
        Route("/app/static/example/{id}.mp4", media.example),
        Route("/app/static/{rest:path}", media.nothing),
        Route("/api/ready", media.ready),
    ]


class Media:
    """The endpoints. Each runs in a thread of Starlette's pool, because it touches the disk."""

    def __init__(self, studio: Callable[[], Studio]) -> None:
        self._studio = studio

    def video(self, request: Request) -> Response:
        """The MP4 itself."""
        return self._file(request, lambda id: self._studio().library.mp4_path(id), "video/mp4", _KEPT)

    def sidecar(self, request: Request) -> Response:
        """The sidecar. Its tags may change, so a browser asks again each time."""
        return self._file(request, lambda id: self._studio().library.sidecar_path(id), "application/json",
                          _REVALIDATED)

    def poster(self, request: Request) -> Response:
        """A still picture of the video, also of one in the trash."""
        return self._file(request, lambda id: self._studio().bulk_actions.poster_path(id), "image/webp", _KEPT)

    def animation(self, request: Request) -> Response:
        """The video as a small moving picture."""
        return self._file(request, lambda id: self._studio().library.animation_path(id), "image/webp", _KEPT)

    def rendition(self, request: Request) -> Response:
        """The video in another format, or a sentence with the reason why it cannot be made."""
        kind = request.path_params["kind"]
        if kind not in EXPORT_FORMATS:
            return self.nothing(request)
        return self._file(request, lambda id: self._studio().transfer.rendition(id, kind),
                          EXPORT_FORMATS[kind].media_type, _REVALIDATED, EXPORT_FORMATS[kind].suffix)

    def comparison(self, request: Request) -> Response:
        """Two videos in one clip. A new comparison may have other bytes, so a browser asks each time."""
        a, b = request.path_params["a"], request.path_params["b"]
        try:
            path = self._studio().comparisons.clip_path(a, b)
        except StudioError:
            return self.nothing(request)
        return self._send(request, path, "video/mp4", _REVALIDATED, f"comparison-{a}-{b}.mp4")

    def archive(self, request: Request) -> Response:
        """The videos that `BulkActions.pack` offered under that name."""
        try:
            chosen = self._studio().bulk_actions.packed(request.path_params["name"])
        except StudioError as error:
            return sentence(str(error), status_of(error))
        named = f"attachment; filename=\"{len(chosen)}-videos-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip\""
        pieces = () if request.method == "HEAD" else archive(members(self._studio().library, chosen, slug))
        return StreamingResponse(pieces, media_type="application/zip",
                                 headers={**FRESH, **SAFE, "Content-Disposition": named})

    def preview(self, request: Request) -> Response:
        """The current picture of a running job."""
        return self._file(request, lambda id: self._studio().preview_path(id), "image/webp", FRESH)

    def audition(self, request: Request) -> Response:
        """The contact sheet of a seed audition."""
        return self._file(request, lambda id: self._studio().contact_sheet_path(id), "image/webp", _KEPT)

    def example(self, request: Request) -> Response:
        """A video that ships with the studio."""
        return self._file(request, lambda id: self._studio().example_path(id), "video/mp4", _REVALIDATED)

    def nothing(self, request: Request) -> Response:
        """Any other path below the media: an answer "Not found." instead of the page of the app."""
        return sentence("Not found.", 404)

    def ready(self, request: Request) -> Response:
        """Whether the studio accepts and runs jobs: 200, or 503 with the problems."""
        try:
            state = self._studio().ready()
        except StudioError as error:
            state = {"ready": False, "problems": [str(error)]}
        return JSONResponse(state, status_code=200 if state["ready"] else 503, headers=FRESH)

    def _file(self, request: Request, path_of: Callable[[str], Path], media_type: str,
              caching: dict[str, str], suffix: str = "") -> Response:
        """`suffix`: the suffix of a download's name; empty: the suffix of the file."""
        video_id = request.path_params["id"]
        try:
            path = path_of(video_id)
            asked = "download" in request.query_params
            name = self._download_name(video_id, suffix or path.suffix) if asked else ""
        except StudioError as error:
            return refused(error)
        return self._send(request, path, media_type, caching, name)

    def _send(self, request: Request, path: Path, media_type: str, caching: dict[str, str], name: str) -> Response:
        """A complete file or a part of it. `name`: the name of a download."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return self.nothing(request)
        response = FileResponse(path, media_type=media_type, stat_result=stat, headers={**caching, **SAFE},
                                filename=name if "download" in request.query_params else None)
        if _unchanged(request, response.headers["etag"]):
            kept = ("etag", "last-modified", "cache-control")
            return Response(status_code=304, headers={key: response.headers[key] for key in kept})
        return response

    def _download_name(self, video_id: str, suffix: str) -> str:
        known = self._studio().library.known(video_id)
        return f"{slug(known.prompt if known else '')}-{video_id}{suffix}"


def _unchanged(request: Request, etag: str) -> bool:
    asked = request.headers.get("if-none-match", "")
    return etag in {tag.strip().removeprefix("W/") for tag in asked.split(",")}
