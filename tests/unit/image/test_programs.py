"""What `make image-check` says where no Docker engine can be had."""

import pytest

from tests.image.programs import PACKAGES, missing, obstacle


def test_programs_that_the_path_lacks_are_missing() -> None:
    """Every program is looked up, and only those that are absent are named."""
    present = {"docker", "apt-get", "runc"}
    assert set(missing(lambda name: f"/bin/{name}" if name in present else None)) == PACKAGES.keys() - present


@pytest.mark.parametrize(
    ("absent", "root", "systemd", "says"),
    [
        ((), False, False, "needs root"),
        (("dockerd", "docker"), True, True, "Install them first: apt-get install --no-install-recommends docker.io."),
        (("runc", "apt-get"), True, False, "packages runc apt, and this machine has no apt-get"),
    ],
)
def test_the_obstacle_names_what_is_missing(absent: tuple[str, ...], root: bool, systemd: bool, says: str) -> None:
    """An operator learns the packages, not only that something failed."""
    assert says in obstacle(absent, root=root, systemd=systemd)


@pytest.mark.parametrize(("absent", "systemd"), [((), True), (("dockerd",), False)])
def test_there_is_no_obstacle_where_programs_exist_or_may_be_installed(absent: tuple[str, ...], systemd: bool) -> None:
    """Root of a machine without systemd installs what is absent; a machine that has everything is taken as it is."""
    assert obstacle(absent, root=True, systemd=systemd) == ""
