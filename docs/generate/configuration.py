"""docs/configuration.md: every key of a tenant's configuration and every setting of a process.

`python -m docs.generate.configuration` prints it; a test compares it with the file.
"""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from docs.generate.contract import START, Section, paragraphs, read_contract
from docs.generate.examples import Examples
from docs.generate.settings import groups
from docs.generate.variables import VARIABLES
from services.cli.config.account_schema import described
from services.policy.model.channels import EXAMPLES, AccountKey
from services.policy.reading.channels import DECLARATIONS, EDGES

_WIDTH: Final = 100
_HEAD: Final = """\
# Configuration

This page is the reference of two things: the configuration of a tenant, which administrators write as YAML, and the settings of
the processes, which operators set by environment variables. `make docs` generates it from the contract, the settings classes and
docs/examples/every-key.yaml; a test compares them.

For an introduction, read [the example tenant](../deploy/config/demo.yaml), then [routing policies](routing-policies.md),
[SLA policies](sla.md) and [surveys](feedback.md). For settings in Kubernetes, read [operating](operating.md).
"""
_TENANT: Final = """\
## Tenant configuration

One YAML file configures one tenant. `chapar config lint FILE` checks it and names the file and the line of each mistake;
`chapar config apply FILE` checks it and activates it for all services at once. A file needs no more than this:

```yaml
tenant: shop
pools: [{name: default}]
queues: [{name: sales, pool: default}]
```

[docs/examples/every-key.yaml](examples/every-key.yaml) has every key. The examples below are cut from it.

- A key without a default is required.
- A key that is absent, 0 or empty has its default. Where a default says "any", an empty list matches everything.
- A **duration** is written with units: `250ms`, `20s`, `5m`, `1h30m`, `7d`. In `pools`, `queues`, `agents`, `capacity_profiles`
  and `rules` it is from 0s to 366d, elsewhere from 0s to 3660d.
- A priority is a whole number; a higher number is more urgent.
- Editors complete and check keys with the [JSON Schema](../deploy/config/schema.json): begin the file with
  `# yaml-language-server: $schema=…`.
"""
_ACCOUNTS: Final = """\
The tables below show the secrets and settings of each channel. `chapar config lint` reports a missing or misspelt one, a value of
another form, and a reference to a variable that is not set; editors with the JSON Schema do so while you type. A key without a
default is required. The channels `bale`, `sms` and `voice` have no edge: they can have a weight in capacity profiles, but no account.
"""
_SETTINGS: Final = """\
## Settings of processes

A service reads its settings from, in this order: defaults, the YAML file of `--config FILE`, and environment variables. A later
source overrides an earlier one. This variable and this file set the same thing:

```sh
CHAPAR_INGEST_JWT__JWKS_URL=https://id.example.com/keys
```

```yaml
jwt: {jwks_url: "https://id.example.com/keys"}
```

- `__` in a variable goes one level down. A value that begins with `[` or `{` is JSON.
- A variable with a service's prefix that names no setting stops the service at its start, because a misspelt setting would
  silently keep its default.
- A setting without a default is required.
"""
_VARIABLES: Final = """\
### Other variables

For example, `CHAPAR_ADDRESS=chapar.example.com:443 CHAPAR_TENANT=shop CHAPAR_TOKEN=… chapar queues list` asks the services of
another machine.
"""


def render_markdown() -> str:
    """The content of docs/configuration.md."""
    examples = Examples()
    parts = [_wrapped(_HEAD), _wrapped(_TENANT)]
    for section in read_contract().sections():
        parts += _section(section, examples)
    parts.append(_wrapped(_SETTINGS))
    for title, introduction, settings in groups():
        rows = ((s.name, s.kind, s.default, s.bounds, s.meaning) for s in settings)
        parts += [f"### {title}", *([_wrapped(introduction)] if introduction else [])]
        parts.append(_table(("setting", "type", "default", "bounds", "meaning"), rows))
    variables = ((f"`{v.name}`", v.readers, v.default, v.meaning) for v in VARIABLES)
    parts += [_wrapped(_VARIABLES), _table(("variable", "read by", "default", "meaning"), variables)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _section(section: Section, examples: Examples) -> Iterator[str]:
    yield f"### {section.name}"
    said = list(paragraphs(section.meaning))
    # The contract's other paragraphs about the tenant are for readers of the contract.
    yield from (_wrapped(paragraph) for paragraph in (said[:1] if section.name == START else said))
    yield f"```yaml\n{examples.of(section)}\n```"
    rows = ((f"`{key.name}`", key.kind, key.default, key.bounds, key.meaning) for key in section.keys)
    yield _table(("key", "type", "default", "bounds", "meaning"), rows)
    if section.name == "ChannelAccount":
        yield from _channels()
    for keys, choices in section.choices.items():
        yield _table((f"value of {keys}", "meaning"), ((f"`{value}`", meaning) for value, meaning in choices.items()))


def _channels() -> Iterator[str]:
    """Yield the secrets and settings of each channel, as the contract declares them."""
    yield _wrapped(_ACCOUNTS)
    for channel in sorted(EDGES):
        declared = DECLARATIONS[channel]
        rows = [_account_key("secret", key) for key in declared.secrets.values()]
        rows += [_account_key("setting", key) for key in declared.settings.values()]
        yield f"#### {channel}"
        yield _table(("key", "is a", "value", "default", "meaning"), rows) if rows else "No secrets and no settings."


def _account_key(part: str, key: AccountKey) -> tuple[str, ...]:
    values = ", ".join(f"`{value}`" for value in key.values) or EXAMPLES[key.kind]
    form = "reference" if part == "secret" else f"{values}, or a reference" if key.may_be_reference else values
    default = f"`{key.default}`" if key.default else "" if key.required_for else "none"
    return f"`{key.name}`", part, form, default, described(key)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    """Prose at most 100 columns wide; code blocks and headings as they are."""
    lines: list[str] = []
    fenced = False
    for block in _blocks(text):
        fenced = block.startswith("```")
        if fenced or block.startswith("#") or not block:
            lines.append(block)
        else:
            hanging = "  " if block.startswith("- ") else ""
            lines += textwrap.wrap(
                block, _WIDTH, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
            )
    return "\n".join(lines)


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs and entries of lists, each as one line; code blocks whole; empty lines as empty blocks."""
    block: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```") or fenced:
            if not fenced and block:
                yield " ".join(block)
                block = []
            block.append(line)
            if line.startswith("```") and fenced:
                yield "\n".join(block)
                block = []
            fenced = not fenced if line.startswith("```") else fenced
        elif not line or line.startswith(("- ", "#")):
            if block:
                yield " ".join(block)
                block = []
            if line:
                block = [line]
            else:
                yield ""
        else:
            block.append(line.strip())
    if block:
        yield " ".join(block)


if __name__ == "__main__":
    print(render_markdown(), end="")
