"""The form of tags in the library."""

import unicodedata
from collections.abc import Iterable

from core.errors import BadRequest

MAX_LENGTH = 64
MAX_COUNT = 32


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags with single spaces, without empty and repeated ones, in the given order.

    Raises:
        BadRequest: a tag is longer than 64 characters or holds a control character, or there are over 32.
    """
    found: dict[str, None] = {}
    for tag in tags:
        if not isinstance(tag, str):
            raise BadRequest("tags", f"{tag!r:.40} is not text.")
        clean = " ".join(tag.split())
        if len(clean) > MAX_LENGTH:
            raise BadRequest("tags", f"{clean[:20]!r}… has {len(clean)} characters; at most {MAX_LENGTH}.")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in clean):
            raise BadRequest("tags", f"{clean!r:.40} holds a control character; remove it.")
        if clean:
            found[clean] = None
    if len(found) > MAX_COUNT:
        raise BadRequest("tags", f"{len(found)} tags are too many; at most {MAX_COUNT}.")
    return tuple(found)
