"""A JSON object becomes a frozen value: fields are taken, filled in, or refused with a sentence."""

import json
from dataclasses import MISSING, asdict, dataclass, field
from typing import Any

import pytest

from core.domain.documents import WrongValue, read
from core.domain.receipt import Environment, Receipt
from core.domain.recipe import Recipe
from core.domain.video import Result, Runtime


@dataclass(frozen=True)
class Leaf:
    name: str
    share: float = 0.5


@dataclass(frozen=True)
class Tree:
    height: int
    wide: bool
    leaf: Leaf
    parent: str | None
    leaves: tuple[Leaf, ...] = ()
    ages: dict[str, int] = field(default_factory=dict)
    note: Any = None
    grown: float = field(default=0.0, init=False)


WHOLE = {"height": 3, "wide": True, "leaf": {"name": "a", "share": 0.25}, "parent": None}


def changed(**values):
    return {**WHOLE, **values}


def refused(document):
    with pytest.raises(WrongValue) as error:
        read(Tree, document)
    return error.value.name, error.value.value


def test_a_value_has_what_its_document_says_and_its_defaults_where_that_is_silent():
    assert read(Tree, WHOLE) == Tree(3, True, Leaf("a", 0.25), None)
    assert read(Tree, changed(leaf={"name": "a"}, parent="b")) == Tree(3, True, Leaf("a", 0.5), "b")


def test_lists_become_tuples_and_every_value_inside_is_read():
    found = read(Tree, changed(leaves=[{"name": "a"}, {"name": "b"}], ages={"a": 1}, note=[{"x": None}]))
    assert found.leaves == (Leaf("a"), Leaf("b")) and found.ages == {"a": 1} and found.note == [{"x": None}]


def test_keys_that_a_newer_studio_writes_are_ignored_at_every_depth():
    assert read(Tree, changed(colour="green", leaf={"name": "a", "share": 0.25, "veins": 7})) == read(Tree, WHOLE)


def test_a_computed_field_is_not_read():
    assert read(Tree, changed(grown=9.0)).grown == 0.0


def test_a_whole_number_is_good_enough_for_a_float_and_stays_what_it_is():
    share = read(Leaf, {"name": "a", "share": 1}).share
    assert share == 1 and type(share) is int


@pytest.mark.parametrize(("document", "name", "value"), [
    (changed(height="3"), "height", "3"), (changed(height=3.0), "height", 3.0), (changed(height=True), "height", True),
    (changed(height=None), "height", None), (changed(wide=1), "wide", 1), (changed(parent=3), "parent", 3),
    (changed(leaf=[]), "leaf", []), (changed(leaf={"name": 1}), "name", 1),
    (changed(leaf={"name": "a", "share": "half"}), "share", "half"),
    (changed(leaf={"name": "a", "share": False}), "share", False),
    (changed(leaves={"name": "a"}), "leaves", {"name": "a"}), (changed(leaves=["a"]), "leaves", "a"),
    (changed(ages=[1]), "ages", [1]), (changed(ages={"a": "1"}), "ages", "1"), ([], "document", []),
    (None, "document", None), ("{}", "document", "{}")])
def test_a_value_of_another_type_is_refused_and_the_field_named(document, name, value):
    assert refused(document) == (name, value)


@pytest.mark.parametrize("name", WHOLE)
def test_a_value_that_is_missing_is_refused_and_the_field_named(name):
    assert refused({key: value for key, value in WHOLE.items() if key != name}) == (name, MISSING)


def test_the_sentence_says_which_field_and_shortens_what_is_long():
    assert str(WrongValue("height", MISSING)) == "height is missing"
    assert str(WrongValue("height", "3")) == "height is '3'"
    assert len(str(WrongValue("height", "x" * 1000))) < 60
    with pytest.raises(WrongValue, match=r"^receipt is \[\]$"):
        read(Leaf, [], "receipt")


MACHINE = Environment("cpu", "a processor", "float32", "sdpa", "resident", 2, {"torch": "2.13.0"}, "AVX2")


@pytest.mark.parametrize("value", [
    Recipe("a red ball", "", "demo", 8, 20, 5.0, 8, 2**63 - 1, 32, 64, "ddim", "exact"), MACHINE,
    Receipt("n", "f", "demo", "folder", "", "w", {"order": 2, "betas": [0.1]}, MACHINE, ({"name": "x"},)),
    Result(8, 32, 64, 7.995, 1.0, 12345, "0" * 64), Runtime(total_s=1.5)], ids=lambda value: type(value).__name__)
def test_the_documents_of_the_studio_are_read_back(value):
    assert read(type(value), json.loads(json.dumps(asdict(value)))) == value
