"""What torch raises becomes a sentence for the person."""

from core.errors import OutOfMemory, StudioError, WorkerLost

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed",
              "allocation_failed", "bad_alloc")  # cuBLAS, and cuDNN since 9, have words of their own
_ONEDNN_STUCK = "could not create a primitive"  # all it says when it has no memory, and it says it ever after
_GPU_LOST = ("cuda error", "cuda driver error", "device-side assert", "cudnn_status_execution_failed",
             "cublas_status_execution_failed", "unspecified launch failure")
_LESS = "Ask for fewer frames or a smaller size, or close other programs that use the memory."


def meaning(error: BaseException, doing: str, advice: str = _LESS) -> StudioError | None:
    """The studio's own error for one of torch's, or None where it has no sentence for it.

    Args:
        doing: what was going on, as it reads after "while": "making 24 frames of 576×320".
        advice: what would need less memory, as a sentence.
    """
    text = str(error).lower()
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" \
            or any(sign in text for sign in _NO_MEMORY):
        return OutOfMemory(f"The memory ran out while {doing}. {advice}")
    if text.strip() == _ONEDNN_STUCK:
        return WorkerLost(f"The memory ran out while {doing}, and the process that makes videos must start anew.")
    if any(sign in text for sign in _GPU_LOST):
        return WorkerLost(f"The GPU stopped with an error while {doing}, and the process that uses it must start "
                          "anew. If it happens again, restart the machine or check the GPU's driver.")
    return None
