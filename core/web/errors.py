"""Which HTTP status an error of the studio has: one table for every route."""

from starlette.responses import PlainTextResponse

from core.errors import ClipError, DamagedVideo, DiskFull, StudioError

FRESH = {"Cache-Control": "no-store"}
SAFE = {"X-Content-Type-Options": "nosniff"}
STATUS: dict[type[StudioError], int] = {  # the nearest class of an error decides
    StudioError: 404,  # there is nothing to send
    ClipError: 500, DamagedVideo: 500, DiskFull: 500,  # it is here, and cannot be made or read
}


def status_of(error: StudioError) -> int:
    """Its row of the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def refused(error: StudioError) -> PlainTextResponse:
    """What is answered instead of a file: its sentence; where there is nothing to send, no more than that."""
    status = status_of(error)
    return sentence("Not found." if status == 404 else str(error), status)


def sentence(text: str, status: int) -> PlainTextResponse:
    """A sentence as an answer of its own, which no browser keeps."""
    return PlainTextResponse(text, status_code=status, headers={**FRESH, **SAFE})
