"""Apache Kafka on 127.0.0.1: one node, or three that keep three copies of everything and need two to agree."""

import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kafka_jars import HERE, expected_jars
from service import Missing, Service, finish, launch, signal_all

# For a small machine that Kafka shares: without the second compiler it starts with two thirds of the work.
FLAGS = ("-Xms64m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
JAVA = "Java 17 or newer (openjdk-17-jre-headless)"


@dataclass(frozen=True)
class KafkaNode(Service):
    controller: int
    node: int
    peers: tuple[tuple[int, int], ...]  # (port, controller's port) of every node, of this one too
    cluster: str
    jars: Path
    advertised: int | None = None  # the port clients are sent to, where something stands before ours
    name = "Kafka"
    ending = " kafka.Kafka {folder}/server.properties"

    def launch(self) -> None:
        if self.process is not None:
            return
        self.insist_free(self.port)
        self.insist_free(self.controller)
        names = [name for name, _ in expected_jars()]
        if not all((self.jars / name).is_file() for name in names):
            raise Missing(
                f"Kafka's jars are not in {self.jars}: run `{sys.executable} {HERE / 'services.py'} fetch`"
            )
        self.folder.mkdir(mode=0o700, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text(self._properties(), encoding="utf-8")
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        java = ["java", *FLAGS, logging, "-cp", ":".join(str(self.jars / name) for name in names)]
        if not (self.folder / "data" / "meta.properties").exists():
            tool = ["kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(properties)]
            finish([*java, *tool], install=JAVA)
        launch([*java, "kafka.Kafka", str(properties)], self.log, install=JAVA)

    def insist_serving(self, *, within: float = 60.0) -> None:
        """Return once this node serves, and knows that all the others do."""
        self.insist_ready(lambda: self.brokers() == len(self.peers), within=within)

    def brokers(self) -> int:
        """Return how many nodes this one knows to be serving; none while it does not answer itself."""
        # Metadata, version 1, of no topics: the answer is its length, our number, the count of brokers, …
        request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                _, _, count = struct.unpack(">iii", connection.recv(12, socket.MSG_WAITALL))
        except (OSError, struct.error):
            return 0
        return int(count)

    def _properties(self) -> str:
        voters = ",".join(f"{n}@127.0.0.1:{controller}" for n, (_, controller) in enumerate(self.peers, 1))
        copies, enough = (3, 2) if len(self.peers) == 3 else (1, 1)
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CLIENT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{self.advertised or self.port}",
            "inter.broker.listener.name": "CLIENT",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": enough,
            "unclean.leader.election.enable": "false",
            # One that comes back from a crash is let in again only when its former self has been given up.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # Where there is nobody to hand over to, an orderly handing over only waits.
            "controlled.shutdown.enable": "true" if copies > 1 else "false",
        }
        for internal in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{internal}.replication.factor"] = copies
        for internal in ("transaction.state.log", "share.coordinator.state.topic"):
            settings[f"{internal}.min.isr"] = enough
        return "".join(f"{key}={value}\n" for key, value in settings.items())


@dataclass(frozen=True)
class Kafka:
    nodes: tuple[KafkaNode, ...]

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self, *, within: float = 60.0) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(KafkaNode.launch, self.nodes))
        for node in self.nodes:
            node.insist_serving(within=within)

    def stop(self) -> None:
        # All are asked before any is waited for; the last ones have no majority left to hand over to, and are ended.
        for node in self.nodes:
            node.resume()
            signal_all([node.process.pid] if node.process else [], node.stop_signal)
        for node in self.nodes:
            node.stop(within=3.0)
