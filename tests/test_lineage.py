"""The story of a video along its tree, also where a part of the tree is gone or damaged."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import samples
from samples import with_recipe

from core.domain.verdict import Verdict
from core.domain.video import ANCESTORS, Origin, Video
from core.errors import DamagedVideo
from core.jobs.kinds.generate import Generate
from core.jobs.kinds.registry import read_task
from core.library import sidecar
from core.library.library import Library
from core.library.lineage import SHOWN, lineage, origin_of
from core.library.lookup import DAMAGED, GONE, HERE, NEWER, TRASHED, look_up
from core.library.media import clip

ID = "20261122-0813{:02d}-a1b2c3".format


@pytest.fixture
def library(tmp_path: Path):
    opened = Library(tmp_path, writable=True, trash_days=0)  # deleted videos are gone
    yield opened
    opened.close()


def born(library: Library, number: int, parent: Video | None = None, kind: str = "remix",
         **changes: object) -> Video:
    """Store a video made from `parent` as the studio does."""
    request = {} if parent is None else {name: value for name, value in parent.recipe.document().items()
                                         if name != "prompt"}
    prompt = changes.pop("prompt", parent.recipe.prompt if parent else "a red ball")
    origin = origin_of(library, parent.id, kind) if parent else None
    plain = samples.video(prompt, id=ID(number), created=f"2026-11-22T08:13:{number:02d}+00:00",
                          parent=parent.id if parent else None, origin=origin, **{**request, **changes})
    return library.publish(*with_recipe(plain))


def ids(kin) -> list[str]:
    return [one.id for one in kin]


def test_the_tree_around_a_video(library):
    root = born(library, 1)
    parent = born(library, 2, root, seed=2)
    video = born(library, 3, parent, prompt="a blue ball", guidance_scale=7.5)
    again = born(library, 4, video, "regenerate", verdict=Verdict("identical"))
    aunt, brother = born(library, 5, root, seed=5), born(library, 6, parent, fps=4)
    grandchild = born(library, 7, again, "regenerate", verdict=Verdict("identical"))
    found = lineage(library, video)
    assert ids(found.ancestors) == [root.id, parent.id] and ids(found.siblings) == [brother.id]
    assert ids(found.children) == [again.id] and not found.alone
    assert [one.kind for one in (*found.ancestors, found.itself, *found.siblings, *found.children)] == [
        "", "remix", "remix", "remix", "regenerate"]
    assert [(c.name, c.before, c.after) for c in found.itself.changes] == [
        ("prompt", "a red ball", "a blue ball"), ("guidance_scale", 5.0, 7.5)]
    assert [c.name for c in found.ancestors[1].changes] == ["seed"] and found.ancestors[0].changes is None
    assert found.children[0].changes == () and found.children[0].children == 1
    assert ids(lineage(library, root).children) == [aunt.id, parent.id]
    assert ids(lineage(library, grandchild).ancestors) == [root.id, parent.id, video.id, again.id]
    assert lineage(library, born(library, 9)).alone


def test_a_deleted_parent_is_still_told_of_and_its_own_parent_found(library):
    root = born(library, 1, seed=1)
    parent = born(library, 2, root, seed=2)
    video, brother = born(library, 3, parent, prompt="a blue ball"), born(library, 4, parent, seed=4)
    library.delete(parent.id)
    found = lineage(library, library.get(video.id))
    assert ids(found.ancestors) == [root.id, parent.id] and ids(found.siblings) == [brother.id]
    gone = found.ancestors[1]
    assert gone.video is None and gone.recipe == parent.recipe and gone.created == parent.created
    assert [c.name for c in gone.changes] == ["seed"] and [c.name for c in found.itself.changes] == ["prompt"]
    assert found.itself.kind == "remix"


def test_a_parent_in_the_trash_is_shown_in_full_and_a_new_child_remembers_it(tmp_path):
    library = Library(tmp_path, writable=True, trash_days=30)
    root = born(library, 1)
    parent = born(library, 2, root, seed=2)
    video = born(library, 3, parent)
    library.delete(parent.id)
    assert origin_of(library, parent.id, "remix") == Origin("remix", parent.created, parent.recipe, (root.id,))
    assert origin_of(library, "no id", "remix") == Origin("remix")
    there = lineage(library, video).ancestors
    assert ids(there) == [root.id, parent.id] and [one.state for one in there] == [HERE, TRASHED]
    assert there[1].video is None and [c.name for c in there[1].changes] == ["seed"]
    assert there[1].kind == "remix", "how it came about is not forgotten with it"
    library.close()


@pytest.mark.parametrize(("state", "spoil"), [
    (NEWER, lambda library, one: library.sidecar_path(one.id).write_text(
        json.dumps({**one.document(), "schema": 99}))),
    (DAMAGED, lambda library, one: library.sidecar_path(one.id).write_text("{")),
    (DAMAGED, lambda library, one: library.mp4_path(one.id).unlink()),
    (GONE, lambda library, one: library.delete(one.id)),
])
def test_one_that_cannot_be_read_says_why_as_a_parent_and_as_a_child(library, state, spoil):
    root = born(library, 1, seed=1)
    parent = born(library, 2, root, seed=2, prompt="a green ball")
    video = born(library, 3, parent, seed=3)
    spoil(library, parent)
    above = lineage(library, video).ancestors
    assert ids(above) == [root.id, parent.id] and [one.state for one in above] == [HERE, state]
    assert above[1].video is None and above[1].prompt == "a green ball" and above[1].created == parent.created
    below = lineage(library, root).children
    assert [(one.id, one.state, one.prompt) for one in below] == \
        ([] if state == GONE else [(parent.id, state, "a green ball")])


def test_the_story_continues_over_several_that_are_gone(library):
    line = [born(library, 1)]
    for number in range(2, 6):
        line.append(born(library, number, line[-1], seed=number))
    for one in line[1:4]:
        library.delete(one.id)
    found = lineage(library, line[-1])
    assert ids(found.ancestors) == ids(line[:4])
    assert [one.video is not None for one in found.ancestors] == [True, False, False, False]
    assert found.ancestors[3].recipe == line[3].recipe and found.ancestors[2].recipe is None


def test_the_story_survives_a_reindex_a_lost_sidecar_and_an_import_elsewhere(library, tmp_path):
    root = born(library, 1)
    video = born(library, 2, root, seed=2)
    library.delete(root.id)
    library.sidecar_path(video.id).unlink()
    library.reindex()
    assert lineage(library, library.get(video.id)).ancestors[0].recipe == root.recipe
    other = Library(tmp_path / "other", writable=True)
    there = other.import_mp4(library.mp4_path(video.id)).video
    assert there.origin == Origin("remix", root.created, root.recipe, ())
    assert lineage(other, there).ancestors[0].recipe == root.recipe
    other.close()


def test_a_sidecar_without_an_origin_is_read_and_its_kind_found_where_it_can_be(library):
    root = born(library, 1)
    for number, changes in ((2, {}), (3, {"verdict": Verdict("drifted", 20.0)}), (4, {"seed": 9})):
        plain = samples.video(id=ID(number), parent=root.id, **changes)
        library.publish(*with_recipe(plain))
        document = json.loads(library.sidecar_path(ID(number)).read_text())
        del document["origin"]
        library.sidecar_path(ID(number)).write_text(json.dumps(document))
    kinds = {one.id: one.kind for one in lineage(library, root).children}
    assert kinds == {ID(2): "regenerate", ID(3): "regenerate", ID(4): "remix"}
    library.delete(root.id)
    assert lineage(library, library.get(ID(4))).itself.kind == ""


@pytest.mark.parametrize("parents", [{1: 1}, {1: 2, 2: 1}, {1: 2, 2: 3, 3: 1}, {1: 2, 2: 3, 3: 2}])
def test_a_circle_in_damaged_data_ends(library, parents):
    for number in {*parents, *parents.values()}:
        library.publish(*with_recipe(samples.video(id=ID(number), parent=ID(parents[number]))))
    for number in parents:
        found = lineage(library, library.get(ID(number)))
        named = [*ids(found.ancestors), found.itself.id]
        assert len(named) == len(set(named)) <= len(parents)


def test_ancestors_that_are_remembered_in_a_circle_end_too(library):
    origin = Origin("remix", ancestors=(ID(1), ID(5), ID(2), ID(5)))
    video = library.publish(*with_recipe(samples.video(id=ID(1), parent=ID(2), origin=origin)))
    assert ids(lineage(library, video).ancestors) == [ID(2)]


def test_a_long_line_and_many_children_are_cut_and_counted(library):
    root = born(library, 1)
    for number in range(2, SHOWN + 5):
        born(library, number, root)
    found = lineage(library, root)
    assert len(found.children) == SHOWN and found.more_children == 3
    assert lineage(library, found.children[0].video).more_siblings == 2
    origin = Origin("remix", ancestors=tuple(ID(n % 60) for n in range(60, 200)))
    library.publish(*with_recipe(replace(root, id=ID(50), parent=ID(59), origin=origin)))
    assert len(origin_of(library, ID(50), "remix").ancestors) == ANCESTORS


@pytest.mark.parametrize("origin", [
    5, "x", {"created": ""}, {"kind": 3}, {"kind": "remix", "created": 3},
    {"kind": "remix", "ancestors": ["../x"]},
    {"kind": "remix", "ancestors": 7}, {"kind": "remix", "request": {"prompt": 3}},
    {"kind": "remix", "request": [1]}])
def test_an_origin_that_is_none_is_damage(origin):
    document = {**samples.video().document(), "origin": origin}
    with pytest.raises(DamagedVideo):
        sidecar.video_of(document)


def test_an_origin_is_read_as_it_was_written_in_the_sidecar_the_mp4_and_on_the_way_to_the_worker(library):
    parent = born(library, 1)
    video = born(library, 2, parent)
    assert sidecar.video_of(json.loads(sidecar.dump(video.document()))) == video
    inside = json.loads(clip.probe(library.mp4_path(video.id)).comment)
    assert inside["origin"] == video.document()["origin"] and inside["parent"] == parent.id
    task = Generate(video.recipe, parent.id, video.origin)
    assert read_task(json.loads(json.dumps(task.document()))) == task
    later = {**video.document(), "origin": {**video.document()["origin"], "kind": "upscale", "more": 1}}
    assert sidecar.video_of(later).origin.kind == "upscale"


def test_a_video_is_looked_up_once_whatever_state_it_is_in(tmp_path):
    library = Library(tmp_path, writable=True, trash_days=30)
    here, trashed, newer, torn, mute, cut = (born(library, number, prompt="a ball") for number in range(1, 7))
    library.delete(trashed.id)
    library.sidecar_path(newer.id).write_text(json.dumps({**newer.document(), "schema": 99}))
    library.sidecar_path(torn.id).write_text("{")
    library.sidecar_path(mute.id).unlink()
    library.mp4_path(cut.id).unlink()
    for one, state, video, has_sidecar, words in (
            (here, HERE, here, True, None), (trashed, TRASHED, trashed, False, "is in the trash"),
            (torn, DAMAGED, None, True, "is damaged"), (mute, DAMAGED, None, False, "sidecar of .* is missing"),
            (cut, DAMAGED, None, True, "MP4 of .* is missing")):
        found = look_up(library, one.id)
        assert (found.state, found.video, found.has_sidecar, found.title) == (state, video, has_sidecar, "a ball")
        assert found.error is None if words is None else re.search(words, str(found.error))
        assert found.entry == library.known(one.id) and (found.entry is None) == (state == TRASHED)
    seen = look_up(library, newer.id)
    assert (seen.state, seen.video.recipe, seen.title) == (NEWER, None, "a ball") and "newer" in str(seen.error)
    for gone in ("20200101-000000-abcdef", "../../etc/passwd", "x"):
        found = look_up(library, gone)
        assert (found.state, found.video, found.entry, found.title) == (GONE, None, None, "") and str(found.error)
    library.close()
