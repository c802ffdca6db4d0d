"""Every failure a person may meet. The screen shows the text of each error as it is.

StudioError                     a failure that the studio can explain in one sentence
├── BadRequest                  refused before the queue; it names the field, the value and a solution
│   └── DoesNotFit              the request needs more memory than there is
├── NotFound                    no video or job of that id
├── NoRecipe                    a video from outside: its recipe is not known, so it cannot be made again
├── ModelUnavailable            the model cannot be loaded here: missing, offline, damaged, needs a GPU
├── OutOfMemory                 the model and the frames do not fit
├── InvalidFrames               the model produced NaN, Inf or one flat colour
├── ClipError                   a video file could not be written, read back or understood
│   └── Foreign                 a video without settings that belong to its frames: not from a studio, or edited
├── DamagedVideo                a file of the library is missing, or differs from its sidecar
├── DiskFull                    no room to store the result
├── ReadOnly                    another studio owns this library, or it was written by a newer studio
│   └── NewerLibrary            a newer studio wrote this library: this one can show it, but not change it
└── WorkerLost                  the process that runs the model ended or hangs

Cancelled                       not a failure: a person asked for it. Raised by the progress callback.
└── Paused                      like Cancelled, but the job can resume
"""

from contextlib import suppress
from typing import Any


class StudioError(Exception):
    """A failure that the studio can explain; str(error) is the sentence for the person."""


class BadRequest(StudioError):
    """A value was refused before the queue.

    Attributes:
        field: the name of the refused field, as in `VideoRequest` (`"num_frames"`), or `"request"`.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class DoesNotFit(BadRequest):
    """A request needs more memory than there is.

    Attributes:
        fits: the fields to change so that it fits, with their nearest values; empty when no change helps.
    """

    def __init__(self, reason: str, fits: dict[str, int]) -> None:
        super().__init__("memory", reason)
        self.fits = fits


class NotFound(StudioError):
    """No video or job has that id."""


class NoRecipe(StudioError):
    """A video from outside. Its recipe is not known, so it cannot be made again or remixed."""


class ModelUnavailable(StudioError):
    """The model cannot be loaded on this machine now."""


class OutOfMemory(StudioError):
    """The model and the frames asked for do not fit into memory."""


class InvalidFrames(StudioError):
    """The model produced non-finite values or a clip of one flat colour."""


class ClipError(StudioError):
    """A video file could not be written, read back or understood."""


class Foreign(ClipError):
    """A readable video file without settings that belong to its frames."""


class DamagedVideo(StudioError):
    """A file of the library is missing, or differs from its sidecar."""


class DiskFull(StudioError):
    """The disk has no room for the result."""


class ReadOnly(StudioError):
    """This process may not change the library."""


class NewerLibrary(ReadOnly):
    """A newer studio wrote this library; this one may read it, but not change it."""


class WorkerLost(StudioError):
    """The process that runs the model has ended, or does not answer."""


class Cancelled(Exception):
    """Raised by a progress callback to stop a running job within one step."""


class Paused(Cancelled):
    """Raised by a callback to stop a running job that can resume."""


def written(error: StudioError) -> dict[str, Any]:
    """An error as a JSON object, for another process."""
    kind = next(each for each in type(error).__mro__ if each in _KINDS.values())
    return {"error": kind.__name__, "sentence": str(error), "arguments": _arguments(error)}


def revive(document: dict[str, Any]) -> StudioError:
    """The error that `written` wrote: of the same class, with the same sentence.

    It is a plain StudioError with that sentence, where another version wrote what this one cannot make.
    """
    kind, sentence = _KINDS.get(document["error"]), document["sentence"]
    with suppress(TypeError):  # the class takes other arguments here
        error = kind(*document.get("arguments", [sentence])) if kind is not None else None
        if error is not None and str(error) == sentence:
            return error
    return StudioError(sentence)


def _arguments(error: StudioError) -> list[Any]:
    if isinstance(error, DoesNotFit):
        return [error.reason, error.fits]
    return [error.field, error.reason] if isinstance(error, BadRequest) else [str(error)]


def _family(kind: type[StudioError]) -> dict[str, type[StudioError]]:
    found = {kind.__name__: kind}
    for below in kind.__subclasses__():
        found.update(_family(below))
    return found


_KINDS = _family(StudioError)
"""Every class above, by its name."""
