"""What the compiled engine calls at each decision is compiled with it: docs/decisions/0033-compiled-engine.md."""

import importlib.util
from pathlib import Path
from types import ModuleType

import grimp

ROOT = Path(__file__).parents[2]


def _hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_modules_of_policy_that_the_engine_imports_are_compiled_with_it() -> None:
    """Directly or through each other. A module that stays Python would make each of its values slow for compiled code."""
    graph = grimp.build_graph("services", exclude_type_checking_imports=True, cache_dir=None)
    domain = {name for name in graph.modules if name.startswith("services.router.domain")}
    reached = set().union(*(graph.find_upstream_modules(name) for name in domain))
    imported = {name for name in reached if name.startswith("services.policy.") and not graph.find_children(name)}
    compiled = {".".join(path.with_suffix("").parts) for path in _hatch_build().TYPES}
    assert imported == compiled
