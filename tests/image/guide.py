"""The blocks `by=image-check` of the operators' guide: commands of Docker on the image that was built."""

from __future__ import annotations

import shlex
from dataclasses import replace

from tests.architecture.guide import blocks_by
from tests.image.engine import Engine


def follow(engine: Engine, image: str) -> int:
    """Run the commands; return how many. Raises DockerError for one that fails, ValueError for one that is not Docker's."""
    ran = 0
    for block in blocks_by("image-check"):
        for command in block.commands():
            program, *words = shlex.split(replace(block, text=command).filled({"IMAGE": image}), comments=True)
            if program != "docker":
                raise ValueError(f"{block}: {command}")
            engine.docker(*words)
            ran += 1
    return ran
