"""One module builds and closes Kafka clients, because an aiokafka client that is closed in another way can make its owner fail."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = {"AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient"}
BUILDERS = {"idempotent_producer", "transactional_producer", "plain_reader", "group_consumer"}
ALLOWED = {
    "services/chassis/kafka/clients.py",  # the module that builds clients
    "services/chassis/kafka/transactions/cluster.py",  # closes it with `close_all`, which never raises
    "services/cli/config/publishing.py",  # a command that ends together with its client and shows its failure
    "services/cli/commands/deadletters.py",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "services").rglob("*.py")):
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def called(tree: ast.Module) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def test_only_one_module_builds_clients() -> None:
    found = {path for path, tree in modules() if called(tree) & CLIENTS}
    assert found <= ALLOWED
    assert "services/chassis/kafka/clients.py" in found


def test_a_module_that_builds_a_client_closes_it_with_the_function_that_never_raises() -> None:
    for path, tree in modules():
        calls = called(tree)
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if path in ALLOWED or not calls & BUILDERS:
            continue
        if calls & {"idempotent_producer", "transactional_producer"}:
            assert "discard_producer" in named, path
        if calls & {"plain_reader", "group_consumer"}:
            assert "close_consumer" in named, path
