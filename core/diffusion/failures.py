"""An error of torch becomes a sentence for the person."""

from core.errors import OutOfMemory, StudioError, WorkerLost

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed",
              "allocation_failed", "bad_alloc")  # cuBLAS, and cuDNN since 9, use other words
_ONEDNN_STUCK = "could not create a primitive"  # its only message without memory; it repeats it at every later call
_GPU_LOST = ("cuda error", "cuda driver error", "device-side assert", "cudnn_status_execution_failed",
             "cublas_status_execution_failed", "unspecified launch failure")
_LESS = "Ask for fewer frames or a smaller size, or close other programs that use the memory."


def meaning(error: BaseException, doing: str, advice: str = _LESS) -> StudioError | None:
    """The studio's error for an error of torch, or None if the studio has no sentence for it.

    Args:
        doing: the activity that failed, as words that follow "while": "making 24 frames of 576×320".
        advice: a sentence that tells how to need less memory.
    """
    text = str(error).lower()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" \
            or any(sign in text for sign in _NO_MEMORY):
        return OutOfMemory(f"The memory ran out while {doing}. {advice}")
    if text.strip() == _ONEDNN_STUCK:
        return WorkerLost(f"The memory ran out while {doing}, and the process that makes videos must start again.")
    if any(sign in text for sign in _GPU_LOST):
        return WorkerLost(f"The GPU stopped with an error while {doing}, and the process that uses it must start "
                          "again. If it happens again, restart the machine or check the GPU's driver.")
    return None
