"""No package of the services imports itself in a circle: whoever reads a package can begin at its bottom."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from docs.generate import engine


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Return what the modules import. Imports for type checkers alone count too: they would hide a circle, not remove it."""
    return grimp.build_graph("services", exclude_type_checking_imports=False, cache_dir=None)


def packages(graph: grimp.ImportGraph, name: str) -> Iterator[str]:
    """Yield a package and all packages below it."""
    children = graph.find_children(name)
    if children:
        yield name
        for child in sorted(children):
            yield from packages(graph, child)


def circle_of(graph: grimp.ImportGraph, package: str) -> list[str]:
    """Return the children of a package that import each other in a circle, or nothing."""
    children = sorted(graph.find_children(package))
    imports = {
        one: [
            other
            for other in children
            if other != one and graph.direct_import_exists(importer=one, imported=other, as_packages=True)
        ]
        for one in children
    }
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_children_of_each_package_import_each_other_in_one_direction(graph: grimp.ImportGraph) -> None:
    """Also across levels: `a.x` and `b.y` count as `a` and `b`."""
    found = {package: circle for package in packages(graph, "services") if (circle := circle_of(graph, package))}
    assert found == {}


def test_a_circle_is_found() -> None:
    """The check can fail: two children of one package that import each other through modules below them."""
    graph = grimp.ImportGraph()
    for module in ("p", "p.a", "p.a.x", "p.b", "p.b.y"):
        graph.add_module(module)
    graph.add_import(importer="p.a.x", imported="p.b")
    assert circle_of(graph, "p") == []
    graph.add_import(importer="p.b.y", imported="p.a")
    assert set(circle_of(graph, "p")) == {"p.a", "p.b"}


def test_the_page_of_the_engine_is_current() -> None:
    """docs/engine.md shows the wings of the routing engine as the code imports them: `make docs` draws it."""
    assert engine.PAGE.read_text(encoding="utf-8") == engine.page()


def test_the_engine_has_its_wings(graph: grimp.ImportGraph) -> None:
    """Queries and changelog are on top, the pool is below; handlers reach the pool through nothing that decides for them."""
    found = {
        importer.removeprefix(engine.DOMAIN + "."): {name.removeprefix(engine.DOMAIN + ".") for name in imported}
        for importer, imported in engine.edges(graph).items()
    }
    below = {"commands", "effects", "entries", "model"}
    assert found["pool"] <= below
    assert found["assignment"] <= below | {"pool"}
    assert not {"engine", "queries", "changelog"} & (found["handlers"] | found["assignment"] | found["pool"])
