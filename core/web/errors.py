"""The HTTP status of each error of the studio: one table for every route."""

from starlette.responses import PlainTextResponse

from core.errors import ClipError, DamagedVideo, DiskFull, StudioError

FRESH = {"Cache-Control": "no-store"}
SAFE = {"X-Content-Type-Options": "nosniff"}
STATUS: dict[type[StudioError], int] = {  # the nearest class of an error decides
    StudioError: 404,  # there is no file to send
    ClipError: 500, DamagedVideo: 500, DiskFull: 500,  # the video is here, but the file cannot be made or read
}


def status_of(error: StudioError) -> int:
    """The status of an error, from the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def refused(error: StudioError) -> PlainTextResponse:
    """The answer instead of a file: the sentence of the error; for status 404 only "Not found."."""
    status = status_of(error)
    return sentence("Not found." if status == 404 else str(error), status)


def sentence(text: str, status: int) -> PlainTextResponse:
    """A sentence as a plain-text answer that no browser caches."""
    return PlainTextResponse(text, status_code=status, headers={**FRESH, **SAFE})
