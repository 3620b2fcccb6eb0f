"""One module names the headers of records, and every record that a service writes has them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = "services/chassis/kafka/headers.py"
NAMES = {"event-id", "application/protobuf", "application/x-protobuf"}
MAKERS = {"record_headers", "dead_letter_headers"}
INGEST = {"of_inbound", "of_outbound", "of_delivery", "of_conversation", "of_outcome"}
WRITERS = {"outbox", "send", "producer", "_producer", "_log"}
"""Names of the objects whose `send` and `publish` write records; `send` is a bound `outbox.send`."""
PASSED_ON = {"headers", "named", "each"}
"""Names of variables that hold headers."""
NOT_RECORDS = {
    "services/chassis/kafka/producer.py",  # passes on what its callers give
    "services/chassis/kafka/transactions/contents.py",
    "services/cli/commands/deadletters.py",  # puts a record back with the headers that it had
}


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    paths = sorted((ROOT / "services").rglob("*.py"))
    return tuple((str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths)


def name_of(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def writes(call: ast.Call) -> bool:
    """Return whether a call writes a record with a topic, a key and a value."""
    match call.func:
        case ast.Attribute(attr="send" | "publish" | "dead_letter") as method:
            return name_of(method.value) in WRITERS and len(call.args) >= 2
        case ast.Name(id="send"):
            return len(call.args) >= 3
        case _:
            return False


def is_tombstone(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Constant) and each.value is None for each in call.args)


def has_headers(call: ast.Call) -> bool:
    for each in (*call.args, *(keyword.value for keyword in call.keywords)):
        for node in ast.walk(each):
            if isinstance(node, ast.Call) and name_of(node.func) in MAKERS | INGEST:
                return True
            if isinstance(node, ast.Name) and node.id in PASSED_ON:
                return True
    return False


def test_one_module_names_the_headers() -> None:
    """A second spelling of a header would be a second contract."""
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and (node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value) in NAMES
    }
    assert found == {HOME}


def test_every_record_has_headers() -> None:
    """A call that writes a record passes headers that `record_headers` made; only tombstones have none."""
    bare = [
        f"{path}:{call.lineno}"
        for path, tree in modules()
        if path not in NOT_RECORDS
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and writes(call) and not is_tombstone(call) and not has_headers(call)
    ]
    assert not bare


def test_the_check_sees_the_writers() -> None:
    """Every service and the command line have writers that the check reads."""
    seen = {
        path.split("/")[1]
        for path, tree in modules()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and writes(call)
    }
    assert seen >= {"chassis", "cli", "feedback", "ingest", "router", "sla"}
