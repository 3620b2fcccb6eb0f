"""Builds the image on base images that are pinned by digest. A tag can be moved to another image, a digest cannot.

    docker buildx imagetools inspect python:3.11.14-bookworm --format '{{.Manifest.Digest}}'         # the same for …-slim-bookworm
    make image TAG=registry.example/chapar:1 BUILD_IMAGE=python:3.11.14-bookworm@sha256:… BASE_IMAGE=python:3.11.14-slim-bookworm@sha256:…

The digests are arguments and not in the Dockerfile, because the builder must look them up in a registry that they trust, perhaps
their own mirror. A Python or Debian other than the Dockerfile's is refused, because the tests ran on that one.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
ARGUMENTS = ("BUILD_IMAGE", "BASE_IMAGE")
PINNED = re.compile(r"(?:(?P<registry>[^/@\s]+(?:/[^/@\s]+)*)/)?(?P<image>python:[^/@\s]+)@sha256:[0-9a-f]{64}")


def defaults() -> dict[str, str]:
    """Return the base images that the Dockerfile names, by argument."""
    return dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE))


def wrong_with(name: str, image: str) -> str:
    """Return why a base image is refused; empty when it is accepted."""
    wanted = defaults()[name]
    found = PINNED.fullmatch(image)
    if found is None:
        return f"{name} is {image or 'not set'}: write it as {wanted}@sha256:<64 hexadecimal digits>"
    return "" if found["image"] == wanted else f"{name} is {found['image']}, the Dockerfile is made for {wanted}"


def main(arguments: Sequence[str]) -> int:
    """Build the image from the arguments TAG, BUILD_IMAGE and BASE_IMAGE. Returns the exit code."""
    tag, *images = arguments
    given = dict(zip(ARGUMENTS, images, strict=True))
    wrong = [text for text in ("" if tag else "TAG is not set", *map(wrong_with, given, given.values())) if text]
    if wrong:
        print("\n".join([*wrong, "deploy/docker/build.py shows how to look up digests"]), file=sys.stderr)
        return 2
    options = [f"--build-arg={name}={image}" for name, image in given.items()]
    command = ["docker", "build", "--pull", f"--file={DOCKERFILE}", f"--tag={tag}", *options, str(ROOT)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 every argument was checked above


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
