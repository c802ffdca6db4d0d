"""The folder rules of the code: allowed imports, one owner for each outside thing, and the size of modules."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted([*(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py"), ROOT / "streamlit_app.py"])
LINE = ("pages", "web", "cli", "studio", "operations", "jobs", "library", "planning", "families", "domain", "ground")
"""Imports run from left to right along this line, and inside a folder; never back."""
BESIDE = {("pages", "cli"), ("web", "cli"), ("cli", "web"), ("library", "planning"), ("library", "families")}
"""Pairs along the line of which the first may not import the second."""
WORKER = ("diffusion", {"families", "domain", "planning", "ground"})
"""The modules that the folder of torch may import; it is beside the line."""
GROUND = {"core", "core.errors", "core.settings", "core.faults"}
MAIN = {"core.__main__": "cli"}
FLOORS = 11
OWNERS = {  # an outside package and the only places that may import it
    "streamlit": ("streamlit_app", "pages"),
    "torch": ("core.diffusion",), "diffusers": ("core.diffusion",), "transformers": ("core.diffusion",),
    "accelerate": ("core.diffusion",), "safetensors": ("core.diffusion",), "huggingface_hub": ("core.diffusion",),
    "tinydb": ("core.library.search",),
    "moviepy": ("core.library.media",), "av": ("core.library.media",),
    "sqlite3": ("core.jobs.queue",),
    "starlette": ("core.web", "streamlit_app"),
}
STARTS_TORCH = {"core.jobs.worker.process"}
"""Modules that import the engine, inside a function, in the process of the worker."""
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "service", "handler", "misc"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The folder of core a module stands in; the entry script counts as a page."""
    if module in GROUND:
        return "ground"
    parts = module.split(".")
    if parts[0] != "core":
        return "pages"
    return MAIN.get(module, parts[1])


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return frozenset(found)


def ours(path: Path) -> set[str]:
    return {name for name in imports_of(path) if name.split(".")[0] in ("core", "pages")}


def test_a_module_imports_only_rooms_below_its_own():
    for path in MODULES:
        room = room_of(name_of(path))
        for name in ours(path):
            below = room_of(name)
            if below == room or (below == "diffusion" and name_of(path) in STARTS_TORCH):
                continue
            if room == WORKER[0]:
                assert below in WORKER[1], f"{name_of(path)} imports {name}"
            else:
                assert below in LINE[LINE.index(room):], f"{name_of(path)} ({room}) imports {name}"
                assert (room, below) not in BESIDE, f"{name_of(path)} ({room}) imports {name}"


def test_an_outside_package_has_one_owner():
    for path in MODULES:
        module = name_of(path)
        for name in imports_of(path):
            owners = OWNERS.get(name.split(".")[0])
            if owners is not None:
                assert any(module == owner or module.startswith(owner + ".") for owner in owners), (module, name)


def test_there_are_no_import_cycles_and_few_floors():
    edges = {name_of(path): ours(path) for path in MODULES}
    order = graphlib.TopologicalSorter(edges)
    list(order.static_order())  # raises CycleError, which names the modules of the cycle
    rooms = {room: set() for room in (*LINE, WORKER[0])}
    for module, names in edges.items():
        rooms[room_of(module)] |= {room_of(name) for name in names} - {room_of(module)}
    for room, below in rooms.items():
        assert room not in below
    floors: dict[str, int] = {}
    for room in graphlib.TopologicalSorter(rooms).static_order():
        floors[room] = 1 + max((floors[below] for below in rooms[room]), default=0)
    assert max(floors.values()) <= FLOORS, floors


def test_torch_is_reached_only_from_the_process_of_the_worker():
    for path in MODULES:
        if room_of(name_of(path)) != WORKER[0] and any(room_of(name) == WORKER[0] for name in ours(path)):
            assert name_of(path) in STARTS_TORCH, name_of(path)
    for module in STARTS_TORCH:
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
        top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not any(name and name.startswith("core.diffusion") for name in top)


@pytest.mark.parametrize("module", ["core.studio", "core.__main__", "core.web.media", "core.operations.doctor"])
def test_the_process_of_the_screens_never_imports_torch(module):
    heavy = "{'torch', 'diffusers', 'transformers', 'streamlit'}"
    code = f"import sys, {module}; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_room_stays_small():
    for path in MODULES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = 150 if path.parent == ROOT / "pages" else 300
        assert lines <= limit, f"{name_of(path)} has {lines} lines; at most {limit}"
        assert not FORBIDDEN_NAMES & set(name_of(path).split("."))


def test_every_function_is_annotated_and_every_module_says_what_it_owns():
    for path in MODULES:
        tree = tree_of(path)
        if tree.body:
            assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.returns is not None, f"{name_of(path)}.{node.name} has no return annotation"


def test_there_is_one_broad_except_and_it_is_the_workers():
    broad = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ExceptHandler):
                kind = getattr(node.type, "id", None)
                if node.type is None or kind in ("Exception", "BaseException"):
                    broad.append(name_of(path))
    assert broad == ["core.jobs.worker.host"]


def test_the_environment_is_read_in_one_place():
    for path in MODULES:
        tree = tree_of(path)
        reads = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                 and node.attr in ("environ", "getenv") and getattr(node.value, "id", "") == "os"
                 and not isinstance(getattr(node, "ctx", None), ast.Store)]
        if reads and not name_of(path).startswith("core.diffusion"):
            assert name_of(path) == "core.settings", name_of(path)


@pytest.mark.parametrize("path", sorted((ROOT / "pages").glob("*.py")), ids=lambda path: path.stem)
def test_every_page_guards_itself_first(path):
    body = tree_of(path).body
    if path.name == "__init__.py":
        return
    statements = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)
                  and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    first = statements[0]
    assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Call) and first.value.func.id == "guard"


def test_user_text_never_becomes_html():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert "unsafe_allow_html=True" not in text, name_of(path)
        assert "shell=True" not in text, name_of(path)


def test_a_page_reaches_the_studio_in_one_way_and_nothing_behind_it():
    """A page gets the studio from `current_studio()`. It is not passed on, and its library and ledger stay private."""
    for path in MODULES:
        module, tree = name_of(path), tree_of(path)
        if room_of(module) == "pages":
            assert "core.studio" not in ours(path) or module == "pages.parts.shell", module
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in ("library", "ledger"):
                    assert ast.unparse(node.value) not in ("studio", "current_studio()"), f"{module}:{node.lineno}"


def test_no_test_imports_another_test():
    for path in sorted((ROOT / "tests").glob("*.py")):
        for name in imports_of(path):
            assert not name.startswith("test_"), f"{path.name} imports {name}; move what both need beside the tests"
