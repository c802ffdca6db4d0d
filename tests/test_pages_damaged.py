"""What is damaged, missing or newer is shown as such, once, with what can be done."""

import pytest
from test_pages import keep, page, press, said, studio  # noqa: F401  (a fixture)

from core.errors import NewerLibrary
from core.library.index import FORMAT
from core.library.library import Library
from core.request import VideoRequest
from core.settings import Settings
from core.studio import open_studio
from pages.parts import shell


def test_a_newer_library_has_one_banner_and_can_only_be_looked_at(studio):  # noqa: F811
    kept = keep(studio, "a red ball")
    path = studio.settings.data_dir / "index.json"
    path.write_bytes(path.read_bytes().replace(b'"format":%d' % FORMAT, b'"format":99'))
    shell.studio.clear()
    for name in ("gallery", "generate", "queue"):
        at = page(name)
        assert [error.value for error in at.error if "A newer studio wrote this library" in error.value]
        assert len(at.error) + len(at.warning) == 1
    at = page("gallery")
    assert "a red ball" in said(at)
    press(at, f"star_{kept.id}")
    assert "Update the studio" in at.toast[0].value
    at = page()
    press(at, "generate")
    assert shell.studio().jobs() == ()
    before = path.read_bytes()
    with open_studio(Settings.from_env(), "run") as other:
        assert not other.leads and not other.ready()["ready"]
        with pytest.raises(NewerLibrary):
            other.submit(VideoRequest("a red ball"))
        with pytest.raises(NewerLibrary):
            other.reindex()
    assert path.read_bytes() == before
    path.unlink()
    library = Library(path.parent, writable=True)
    assert library.get(kept.id) == kept
    library.close()
